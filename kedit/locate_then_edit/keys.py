# SPDX-License-Identifier: Apache-2.0
"""Keys: the input of the edited projection at the subject's last token, averaged over contexts (S2RKE eq. 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from kedit.facts import Fact
from kedit.locate_then_edit.contexts import BARE
from kedit.models.activations import Site, read
from kedit.models.doubles import doubles
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import Row, Text, encode

__all__ = ["SubjectReader", "context_weights"]

Average = Literal["groups", "flat"]


def context_weights(n_contexts: int, average: Average) -> Tensor:
    """Weight of each context in a key, `(M,)` float64, the bare one first.

    `groups` (MEMIT and its kin) gives the bare prompt one half and the sampled contexts the other half together;
    `flat` (ROME) weighs all alike.
    """
    if average == "flat" or n_contexts == 1:
        return torch.full((n_contexts,), 1 / n_contexts, dtype=torch.float64)
    rest = 0.5 / (n_contexts - 1)
    return torch.tensor([0.5] + [rest] * (n_contexts - 1), dtype=torch.float64)


class SubjectReader:
    """Reads a batch's activations at the subject's last token, each distinct token prefix once.

    Facts that share subject and context share that row, which is what makes their keys equal bit for bit.
    """

    def __init__(self, model: LanguageModel, facts: Sequence[Fact], contexts: Sequence[str], average: Average) -> None:
        texts = [Text(fact.prompt, prefix=context) for fact in facts for context in contexts]
        rows = encode(model.tokenizer, texts)
        index: dict[tuple[int, ...], int] = {}
        self._rows: list[Row] = []
        self._where: list[int] = []
        for row in rows:
            cut = row.cut((row.subject_last or 0) + 1)
            if cut.ids not in index:
                index[cut.ids] = len(self._rows)
                self._rows.append(cut)
            self._where.append(index[cut.ids])
        self._shape = (len(facts), len(contexts))
        self._bare = list(contexts).index(BARE)
        self._weights = context_weights(len(contexts), average)

    def read(
        self, model: LanguageModel, *, averaged: Sequence[Site] = (), bare: Sequence[Site] = ()
    ) -> dict[Site, Tensor]:
        """As `read_both`, for sites that are wanted in one way each."""
        mean, plain = self.read_both(model, averaged=averaged, bare=bare)
        return mean | plain

    def read_both(
        self, model: LanguageModel, *, averaged: Sequence[Site], bare: Sequence[Site]
    ) -> tuple[dict[Site, Tensor], dict[Site, Tensor]]:
        """Activations on the model as it is now, one column a fact, `(f, n)` or `(d, n)` float64, from one pass.

        They stay on the device of their block.

        Args:
            model: the model.
            averaged: sites to average over contexts, the first result.
            bare: sites to read without context, the second.
        """
        last = [len(row.ids) - 1 for row in self._rows]
        found = read(model, self._rows, last, sorted({*averaged, *bare}, key=lambda s: (s.layer, s.kind)))
        where = torch.tensor(self._where).view(self._shape)
        wide = {site: doubles(tensor) for site, tensor in found.items()}

        def average(tensor: Tensor) -> Tensor:
            rows = tensor[where.to(tensor.device)]
            return torch.einsum("nmf,m->fn", rows, self._weights.to(tensor.device))

        mean = {site: average(wide[site]) for site in averaged}
        bare_rows = where[:, self._bare]
        plain = {site: wide[site][bare_rows.to(wide[site].device)].T.contiguous() for site in bare}
        return mean, plain
