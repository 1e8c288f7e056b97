# SPDX-License-Identifier: Apache-2.0
"""Seeing and overwriting many places of a batch in one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from kedit.models.activations import Site, hooked, put_at, run
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import Batch

__all__ = ["Places", "overwriting_many", "watch"]


@dataclass(frozen=True, slots=True)
class Places:
    """What is put where at one site: `values` `(n, .)` at `columns` `(n,)` of the batch's `rows` `(n,)`."""

    rows: Tensor
    columns: Tensor
    values: Tensor


@contextmanager
def overwriting_many(model: LanguageModel, batch: Batch, new: Mapping[Site, Places]) -> Iterator[None]:
    """While active, every place has its value; every forward pass must be of `batch`.

    Raises:
        ModelError: a forward pass of another shape.
    """
    with ExitStack() as stack:
        for site, places in new.items():
            stack.enter_context(hooked(model, site, put_at(batch, places.rows, places.columns, places.values)))
        yield


def watch(
    model: LanguageModel, batch: Batch, sites: Sequence[Site], columns: Tensor | None = None
) -> tuple[dict[Site, Tensor], Tensor]:
    """One pass over whole rows: each site's tensor, and the last hidden states `(B, T, d)`.

    Args:
        model: the model as it is now; overwriting that is active is seen.
        batch: its rows; nothing is cut, so tokens behind a column may show whether attention is causal.
        sites: what to see.
        columns: one column `(B,)` a row; then tensors are `(B, .)`, otherwise `(B, T, .)`.
    """
    found: dict[Site, Tensor] = {}

    def keep(site: Site) -> Callable[[Tensor], None]:
        def see(tensor: Tensor) -> None:
            if columns is None:
                found[site] = tensor.clone()
            else:
                lines = torch.arange(len(columns), device=tensor.device)
                found[site] = tensor[lines, columns.to(tensor.device)].clone()

        return see

    with torch.no_grad(), model.frozen(), ExitStack() as stack:
        for site in sites:
            stack.enter_context(hooked(model, site, keep(site)))
        last: Tensor = run(model, batch, use_cache=False).last_hidden_state
    return found, last
