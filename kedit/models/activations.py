# SPDX-License-Identifier: Apache-2.0
"""Seeing and reading hidden states at given positions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from kedit.models.architectures import ModelError
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import Batch, Row, Side, collate

__all__ = [
    "Enough",
    "Site",
    "chunks",
    "ending_after",
    "hidden_of",
    "hooked",
    "read",
    "run",
    "with_hidden",
]

# A batch of a tiny model that stays in a core's cache runs twice as fast; a GPU wants more.
BATCH_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Site:
    """A place in the model: `key` is the input of the down-projection, `(f,)`; `value` its output, `attention` that of
    the attention, `mlp` that of the module around the down-projection and `block` that of the whole block, all `(d,)`.
    `embedding`, whatever its layer, is the output of the input embeddings, `(d,)`."""

    kind: Literal["key", "value", "attention", "mlp", "block", "embedding"]
    layer: int


class Enough(Exception):
    """Raised by a hook to end a forward pass whose rest nobody needs; `run` swallows it."""


def hidden_of(output: Any) -> Tensor:
    """The hidden states in a block's output, which is a tensor or a tuple that starts with one."""
    hidden = output[0] if isinstance(output, tuple) else output
    if not isinstance(hidden, Tensor):
        raise ModelError(f"a block returned {type(output).__name__}, neither a tensor nor a tuple of tensors")
    return hidden


def with_hidden(output: Any, hidden: Tensor) -> Any:
    """The same kind of output with other hidden states."""
    return (hidden, *output[1:]) if isinstance(output, tuple) else hidden


def _module(model: LanguageModel, site: Site) -> nn.Module:
    if site.kind == "embedding":
        embeddings: nn.Module = model.module.get_input_embeddings()
        return embeddings
    if site.kind == "block":
        return model.blocks[site.layer]
    if site.kind in ("attention", "mlp"):
        around = model.architecture.down.rpartition(".")[0]
        return model.blocks[site.layer].get_submodule(around if site.kind == "mlp" else model.architecture.attention)
    return model.down_projection(site.layer)


@contextmanager
def hooked(model: LanguageModel, site: Site, see: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    """Call `see` with the site's tensor `(B, T, .)`; what it returns, if anything, takes the tensor's place."""

    def before(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        new = see(args[0])
        return None if new is None else (new, *args[1:])

    def after(_module: nn.Module, _args: Any, output: Any) -> Any:
        new = see(hidden_of(output))
        return None if new is None else with_hidden(output, new)

    module = _module(model, site)
    handle = module.register_forward_pre_hook(before) if site.kind == "key" else module.register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


def run(model: LanguageModel, batch: Batch, *, weights: Mapping[str, Tensor] | None = None, **kwargs: Any) -> Any:
    """Forward through the blocks without the head, positions given explicitly; None where a hook had `Enough`.

    `weights` replaces parameters by full name, in the stored orientation, for this pass only; gradients flow to them.
    On an accelerator, attention of a pass whose gradient may be asked for is made of plain products: the gradients of
    the fused kernels are added up in any order there, and the same edit would not give the same bits twice.
    """
    base = model.module.base_model
    kwargs.update(input_ids=batch.ids, attention_mask=batch.mask, position_ids=batch.positions)
    prefix = f"{model.module.base_model_prefix}."
    replaced = {name.removeprefix(prefix): weight for name, weight in (weights or {}).items()}
    repeatable = torch.is_grad_enabled() and model.device.type != "cpu"
    with suppress(Enough), sdpa_kernel(SDPBackend.MATH) if repeatable else nullcontext():
        return torch.func.functional_call(base, replaced, (), kwargs) if replaced else base(**kwargs)
    return None


@contextmanager
def ending_after(model: LanguageModel, layer: int) -> Iterator[None]:
    """While active, a pass by `run` ends with block `layer`; hooks of that block that were there before see it."""

    def stop(_tensor: Tensor) -> Tensor | None:
        raise Enough

    with hooked(model, Site("block", layer), stop):
        yield


def read(
    model: LanguageModel,
    rows: Sequence[Row],
    indices: Sequence[int],
    sites: Sequence[Site],
    *,
    side: Side = "right",
    batch_tokens: int = BATCH_TOKENS,
) -> dict[Site, Tensor]:
    """Activations at one token a row, `(n, f)` for keys and `(n, d)` else, in the model's dtype.

    Rows are cut after their index (attention is causal), batched by length, and the forward pass ends at the last
    site. The result does not depend on padding side or batching beyond rounding.
    """
    cut = [row.cut(index + 1) for row, index in zip(rows, indices, strict=True)]
    parts = chunks([len(row.ids) for row in cut], batch_tokens)
    found: dict[Site, list[Tensor]] = {site: [] for site in sites}
    with torch.no_grad(), model.frozen():
        for part in parts:
            _read_last(model, [cut[i] for i in part], found, side)
    order = torch.tensor([i for part in parts for i in part]).argsort()
    return {site: torch.cat(tensors)[order.to(tensors[0].device)] for site, tensors in found.items()}


def _read_last(model: LanguageModel, rows: Sequence[Row], found: Mapping[Site, list[Tensor]], side: Side) -> None:
    batch = collate(rows, side=side, device=model.device)
    columns = batch.columns([len(row.ids) - 1 for row in rows])
    lines = torch.arange(len(rows), device=columns.device)

    def keep_in(kept: list[Tensor]) -> Callable[[Tensor], None]:
        return lambda tensor: kept.append(tensor[lines.to(tensor.device), columns.to(tensor.device)].clone())

    with ExitStack() as stack:
        for site, kept in found.items():
            stack.enter_context(hooked(model, site, keep_in(kept)))
        stack.enter_context(ending_after(model, max(site.layer for site in found)))
        run(model, batch, use_cache=False)


def chunks(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices sorted by length, in chunks of at most `budget` padded tokens (at least one row each)."""
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    result: list[list[int]] = []
    for i in order:
        if result and lengths[i] * (len(result[-1]) + 1) <= budget:
            result[-1].append(i)
        else:
            result.append([i])
    return result
