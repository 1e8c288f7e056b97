# SPDX-License-Identifier: Apache-2.0
"""The gradient of a fact's loss at a weight, as the factors it is made of (Mitchell et al. 2022, section 3.1).

A linear layer `y = W x` that sees the tokens `t` has the gradient `sum_t g_t x_t^T`, with `g_t` the gradient at `y_t`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kedit.facts import Fact
from kedit.models.activations import BATCH_TOKENS, chunks, run
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import Row, Text, collate, encode

__all__ = ["Factors", "layer_of", "mlp_matrices", "read_factors", "target_losses"]


@dataclass(frozen=True)
class Factors:
    """Inputs `(n, f)` of a weight, gradients `(n, d)` at its outputs and the index `(n,)` of the fact each token
    belongs to, ordered by fact; float32. Tokens with a zero input or a zero gradient are left out."""

    inputs: Tensor
    gradients: Tensor
    fact: Tensor


def mlp_matrices(model: LanguageModel, layers: Iterable[int]) -> dict[str, tuple[int, int]]:
    """The MLP weights of some blocks: full parameter name -> shape `(d_out, f_in)` in math orientation."""
    names = [
        f"{model.architecture.blocks}.{layer}.{part}.weight"
        for layer in model.check_layers(layers)
        for part in (*model.architecture.up, model.architecture.down)
    ]
    found: dict[str, tuple[int, int]] = {}
    for name in names:
        rows, columns = model.parameter(name).shape
        found[name] = (columns, rows) if model.is_transposed(name) else (rows, columns)
    return found


def layer_of(model: LanguageModel, name: str) -> nn.Module:
    """The module that owns the weight of this full name; raises ModelError if there is none."""
    model.parameter(name)
    return model.module.get_submodule(name.rpartition(".")[0])


def target_losses(model: LanguageModel, hidden: Tensor, rows: Sequence[Row]) -> Tensor:
    """Mean negative log-likelihood `(B,)` over the target tokens of each row, in nats a token.

    `hidden` `(B, T, d)` is the model's last hidden state on the rows, padded on the right.
    """
    reads = [
        (line, row.target_start - 1 + t, token)
        for line, row in enumerate(rows)
        for t, token in enumerate(row.target_ids)
    ]
    line, column, label = torch.tensor(reads, device=hidden.device).T
    log_probs = torch.log_softmax(model.head(hidden[line, column]).float(), -1)
    line, label = line.to(log_probs.device), label.to(log_probs.device)
    nll = -log_probs.gather(1, label[:, None])[:, 0]
    sizes = torch.tensor([len(row.target_ids) for row in rows], device=nll.device)
    # Not `index_add`, which on a GPU adds in any order.
    return torch.zeros(len(rows), device=nll.device).index_put((line,), nll / sizes[line], accumulate=True)


def read_factors(
    model: LanguageModel, facts: Sequence[Fact], names: Iterable[str], *, batch_tokens: int = BATCH_TOKENS
) -> dict[str, Factors]:
    """Factors of the gradient of each fact's loss (`target_losses`) at each named weight.

    A fact's factors are those of its own loss, whatever else is in the batch. The caller freezes the model.
    """
    asked = tuple(names)
    rows = encode(model.tokenizer, [Text(fact.prompt, fact.target) for fact in facts])
    found: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {name: [] for name in asked}
    for part in chunks([len(row.ids) for row in rows], batch_tokens):
        own = [rows[i] for i in part]
        batch = collate([row.cut(len(row.ids) - 1) for row in own], device=model.device)
        with torch.enable_grad(), _watched(model, asked) as seen:
            hidden = run(model, batch, use_cache=False).last_hidden_state
            loss = target_losses(model, hidden, own).sum()
            gradients = torch.autograd.grad(loss, [seen[name][1] for name in asked])
        which = torch.tensor(part, device=model.device)[:, None].expand(batch.ids.shape)
        for name, gradient in zip(asked, gradients, strict=True):
            # One network reads the factors of all layers, wherever these are.
            inputs, gradient = seen[name][0].detach().to(model.device), gradient.to(model.device)
            kept = (inputs != 0).any(-1) & (gradient != 0).any(-1)
            found[name].append((inputs[kept].float(), gradient[kept].float(), which[kept]))
    return {name: _ordered(pieces) for name, pieces in found.items()}


def _ordered(pieces: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Factors:
    inputs, gradients, fact = (torch.cat(parts) for parts in zip(*pieces, strict=True))
    order = fact.argsort(stable=True)
    return Factors(inputs[order], gradients[order], fact[order])


@contextmanager
def _watched(model: LanguageModel, names: Iterable[str]) -> Iterator[Mapping[str, tuple[Tensor, Tensor]]]:
    """Keep the input and the output of each weight's layer in the next pass; gradients reach the outputs."""
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def watch(name: str) -> Any:
        def see(_module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
            # With frozen parameters nothing before the lowest of these layers has a gradient.
            seen[name] = args[0], output if output.requires_grad else output.requires_grad_(True)

        return see

    with ExitStack() as stack:
        for name in names:
            stack.callback(layer_of(model, name).register_forward_hook(watch(name)).remove)
        yield seen
