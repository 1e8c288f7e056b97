# SPDX-License-Identifier: Apache-2.0
"""What MEND is trained for (Mitchell et al. 2022, section 3.2): the edit holds in other words, other texts stay.

Every example of a step is an edit of its own. An edited weight is never formed: `(W + L^T R) x` is computed as
`W x + L^T (R x)`, with the `L` and `R` of the edit that a row belongs to, so all edits of a step run as one batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from kedit.facts import Fact, Prompt
from kedit.hypernetworks.factors import layer_of, read_factors, target_losses
from kedit.hypernetworks.transform import HyperNetwork
from kedit.models.activations import run
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import Row, Text, collate, encode

__all__ = ["Example", "Losses", "edited_rows", "losses"]


@dataclass(frozen=True, slots=True)
class Example:
    """One edit to train on: the fact, texts that should end in its target, and texts whose predictions should stay."""

    fact: Fact
    outer: tuple[str, ...]
    locality: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Losses:
    """Of all examples together: `edit`, the mean over outer texts of the target's negative log-likelihood in nats a
    token, and `locality`, the mean over the tokens of the other texts of KL(before || after) in nats."""

    edit: Tensor
    locality: Tensor


def losses(network: HyperNetwork, model: LanguageModel, examples: Sequence[Example], *, observe: bool) -> Losses:
    """Edit each example on its own and look at what became of it; gradients flow to the network.

    Args:
        network: the hypernetwork.
        model: the unedited model, frozen by the caller.
        examples: at least one.
        observe: whether the factors count into the running statistics.
    """
    factors = read_factors(model, [example.fact for example in examples], network.matrices)
    if observe:
        network.observe(factors)
    edits: dict[str, tuple[Tensor, Tensor]] = {}
    for name, found in factors.items():
        left, right = network(name, found)
        sizes = torch.bincount(found.fact, minlength=len(examples)).tolist()
        # Zeros behind the tokens of a short fact add nothing.
        edits[name] = pad_sequence(left.split(sizes), True), pad_sequence(right.split(sizes), True)
    outer = [
        (number, Text(Prompt(text, "", ""), example.fact.target))
        for number, example in enumerate(examples)
        for text in example.outer
    ]
    near = [
        (number, Text(Prompt(text, "", ""))) for number, example in enumerate(examples) for text in example.locality
    ]
    return Losses(_edit_loss(model, outer, edits), _divergence(model, near, edits))


def _edit_loss(
    model: LanguageModel, texts: Sequence[tuple[int, Text]], edits: Mapping[str, tuple[Tensor, Tensor]]
) -> Tensor:
    rows = encode(model.tokenizer, [text for _, text in texts])
    batch = collate([row.cut(len(row.ids) - 1) for row in rows], device=model.device)
    with edited_rows(model, edits, [number for number, _ in texts]):
        hidden = run(model, batch, use_cache=False).last_hidden_state
    return target_losses(model, hidden, rows).mean()


def _divergence(
    model: LanguageModel, texts: Sequence[tuple[int, Text]], edits: Mapping[str, tuple[Tensor, Tensor]]
) -> Tensor:
    rows: list[Row] = encode(model.tokenizer, [text for _, text in texts])
    batch = collate(rows, device=model.device)
    real = batch.mask.bool()

    def log_probs() -> Tensor:
        hidden = run(model, batch, use_cache=False).last_hidden_state
        return torch.log_softmax(model.head(hidden[real.to(hidden.device)]).float(), -1)

    with torch.no_grad():
        before = log_probs()
    with edited_rows(model, edits, [number for number, _ in texts]):
        after = log_probs()
    return (before.exp() * (before - after)).sum(-1).mean()


@contextmanager
def edited_rows(
    model: LanguageModel, edits: Mapping[str, tuple[Tensor, Tensor]], owner: Sequence[int]
) -> Iterator[None]:
    """While active, row `i` of a pass runs with edit `owner[i]`.

    Args:
        model: the model.
        edits: parameter name -> `left` `(E, n, d_out)` and `right` `(E, n, f_in)`; edit `e` adds `left[e]^T right[e]`.
        owner: the edit of every row, `(B,)`.
    """
    which = torch.tensor(owner, device=model.device)

    def change(left: Tensor, right: Tensor) -> Any:
        def add(_module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
            inputs: Tensor = args[0]
            return output + (inputs.float() @ right.to(inputs.device).mT @ left.to(inputs.device)).to(output)

        return add

    with ExitStack() as stack:
        for name, (left, right) in edits.items():
            hook = change(left[which], right[which])
            stack.callback(layer_of(model, name).register_forward_hook(hook).remove)
        yield
