# SPDX-License-Identifier: Apache-2.0
"""Running only the blocks above a layer, from cached hidden states.

Changing the hidden state of one token after block `l` changes nothing below block `l` and, because attention is
causal, nothing at earlier tokens. So one recording pass keeps the hidden states after block `l` from that token on, and
the attention keys and values of the earlier tokens; every later pass computes the rest alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from kedit.models.activations import Site, hidden_of, hooked, run
from kedit.models.architectures import ModelError
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import Row, collate

if TYPE_CHECKING:
    from transformers import DynamicCache

__all__ = ["Replay", "record"]

# How families call these arguments of a block; both spellings of the cache are in use.
CACHE_NAMES = ("past_key_values", "layer_past")
ATTENTION = ("eager", "sdpa")


class _FrozenPrefix:
    """A cache that puts the recorded keys and values `(B, H, P, h)` before the new ones and remembers nothing."""

    def __init__(self, prefix: Mapping[int, tuple[Tensor, Tensor]]) -> None:
        self._prefix = prefix

    def update(self, keys: Tensor, values: Tensor, layer: int, *_args: Any, **_kwargs: Any) -> tuple[Tensor, Tensor]:
        before_keys, before_values = self._prefix[layer]
        return torch.cat([before_keys, keys], 2), torch.cat([before_values, values], 2)


@dataclass(frozen=True)
class Replay:
    """Recorded rows, ready to run the blocks above `layer` from column 0 of their suffix.

    Attributes:
        layer: the hidden states are the output of this block.
        hidden: `(B, S, d)`, that output from each row's start on, padded on the right.
        positions: `(B, S)` int64.
        mask: `(B, 1, S, P + S)`, added to the attention scores.
        rotary: cosines and sines `(B, S, h)` of the positions, or None.
        prefix: block -> attention keys and values `(B, H, P, h)` of the tokens before the start.
        flags: block -> the other arguments it is called with.
    """

    layer: int
    hidden: Tensor
    positions: Tensor
    mask: Tensor
    rotary: tuple[Tensor, ...] | None
    prefix: Mapping[int, tuple[Tensor, Tensor]]
    flags: Mapping[int, Mapping[str, Any]]

    def select(self, rows: Tensor) -> Replay:
        """The given rows only, `rows` `(b,)` int64."""
        return replace(
            self,
            hidden=self.hidden[rows],
            positions=self.positions[rows],
            mask=self.mask[rows],
            rotary=None if self.rotary is None else tuple(part[rows] for part in self.rotary),
            prefix={i: (keys[rows], values[rows]) for i, (keys, values) in self.prefix.items()},
        )

    def forward(self, model: LanguageModel, hidden: Tensor) -> Tensor:
        """Output `(B, S, d)` of the last block, before the final norm, from `hidden` `(B, S, d)` after `layer`."""
        given = {
            "attention_mask": self.mask,
            "position_ids": self.positions,
            "position_embeddings": self.rotary,
            "use_cache": False,
        }
        cache = _FrozenPrefix(self.prefix)
        for i in range(self.layer + 1, model.n_blocks):
            names = self.flags[i]
            arguments = {name: given.get(name, value) for name, value in names.items()}
            arguments.update({name: cache for name in CACHE_NAMES if name in names})
            hidden = hidden_of(model.blocks[i](hidden, **arguments))
        return hidden


def record(model: LanguageModel, rows: Sequence[Row], starts: Sequence[int], layer: int) -> Replay:
    """One forward pass over whole rows that keeps what `Replay.forward` needs.

    Args:
        model: the model as it is now.
        rows: encoded rows.
        starts: for each row the token from which on hidden states may change.
        layer: the block whose output will be changed.

    Raises:
        ModelError: an attention implementation or block argument that replay does not know.
    """
    from transformers import DynamicCache

    model.check_layers([layer])
    _check_attention(model, max(len(row.ids) for row in rows))
    batch = collate(rows, device=model.device)
    kept: dict[str, Tensor] = {}
    flags: dict[int, dict[str, Any]] = {}

    def keep(tensor: Tensor) -> None:
        kept["hidden"] = tensor

    cache = DynamicCache(config=model.module.config)
    with torch.no_grad(), ExitStack() as stack:
        stack.enter_context(hooked(model, Site("block", layer), keep))
        for i in range(layer + 1, model.n_blocks):
            stack.callback(_note_arguments(model.blocks[i], i, flags).remove)
        run(model, batch, use_cache=True, past_key_values=cache)

    device = batch.ids.device
    start = torch.tensor(starts, device=device)
    length = torch.tensor([len(row.ids) for row in rows], device=device)
    p, s = int(start.max()), int((length - start).max())
    before = start[:, None] - p + torch.arange(p, device=device)
    after = start[:, None] + torch.arange(s, device=device)
    visible = torch.cat([before >= 0, after < length[:, None]], 1)[:, None, None, :]
    causal = torch.ones(s, p + s, dtype=torch.bool, device=device).tril(p)
    # A padded query must see something, or its softmax is 0 / 0; itself is always there.
    own = torch.eye(s, p + s, dtype=torch.bool, device=device).roll(p, 1)
    dtype = kept["hidden"].dtype
    mask = torch.zeros(len(rows), 1, s, p + s, dtype=dtype, device=device)
    mask.masked_fill_(~((visible & causal) | own), torch.finfo(dtype).min)
    lines = torch.arange(len(rows), device=device)[:, None]
    before, after = before.clamp(min=0), after.clamp(max=int(length.max()) - 1)
    hidden, positions = kept["hidden"][lines, after], torch.minimum(after, (length - 1)[:, None])
    with torch.no_grad():
        rotary = None if model.rotary is None else model.rotary(hidden, position_ids=positions)
    return Replay(
        layer=layer,
        hidden=hidden,
        positions=positions,
        mask=mask,
        rotary=rotary,
        prefix={i: _before(cache, i, lines, before) for i in flags},
        flags=flags,
    )


def _before(cache: DynamicCache, layer: int, lines: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    stored = cache.layers[layer]
    keys, values = getattr(stored, "keys", None), getattr(stored, "values", None)
    if not isinstance(keys, Tensor) or not isinstance(values, Tensor):
        raise ModelError(f"block {layer} kept no attention keys; replay needs a block that uses its cache")
    keys, values = (
        tensor.transpose(1, 2)[lines.to(tensor.device), before.to(tensor.device)].transpose(1, 2).contiguous()
        for tensor in (keys, values)
    )
    return keys, values


def _note_arguments(block: nn.Module, layer: int, flags: dict[int, dict[str, Any]]) -> Any:
    signature = inspect.signature(block.forward)
    replaced = {"hidden_states", "attention_mask", "position_ids", "position_embeddings", "use_cache", *CACHE_NAMES}

    def note(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        bound = dict(signature.bind_partial(*args, **kwargs).arguments)
        for name, parameter in signature.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                bound.update(bound.pop(name, {}))
        bound.pop("hidden_states", None)
        strange = sorted(name for name, value in bound.items() if isinstance(value, Tensor) and name not in replaced)
        if strange:
            raise ModelError(f"block {layer} takes a tensor {', '.join(strange)} that replay does not know")
        flags[layer] = {name: None if name in replaced else value for name, value in bound.items()}

    return block.register_forward_pre_hook(note, with_kwargs=True)


def _check_attention(model: LanguageModel, width: int) -> None:
    config = model.module.config
    implementation = str(getattr(config, "_attn_implementation", "eager"))
    if implementation not in ATTENTION:
        raise ModelError(
            f"{model.name}: attention implementation {implementation!r} takes no explicit mask; "
            f"load the model with one of {', '.join(ATTENTION)}"
        )
    window = getattr(config, "sliding_window", None)
    if window is not None and getattr(config, "use_sliding_window", True) and width > int(window):
        raise ModelError(f"{model.name}: a row of {width} tokens is longer than the attention window {window}")
