# SPDX-License-Identifier: Apache-2.0
"""Running only the blocks above a layer, from cached hidden states.

Changing the hidden state of one token after block `l` changes nothing below block `l` and, because attention is
causal, nothing at earlier tokens. So a recording keeps the hidden states after block `l` from that token on, and the
attention keys and values of the earlier tokens; every later pass computes the rest alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kedit.models.activations import hidden_of
from kedit.models.language_model import LanguageModel

__all__ = ["CACHE_NAMES", "KeysValues", "Replay", "fuses"]

# Attention keys and values `(B, H, T, h)`.
KeysValues = tuple[Tensor, Tensor]

# How families call the cache among the arguments of a block; both spellings are in use.
CACHE_NAMES = ("past_key_values", "layer_past")


class _FrozenPrefix:
    """A cache that puts the recorded keys and values before the new ones and remembers nothing."""

    def __init__(self, prefix: Mapping[int, KeysValues]) -> None:
        self._prefix = prefix

    def update(self, keys: Tensor, values: Tensor, layer: int, *_args: Any, **_kwargs: Any) -> KeysValues:
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
    prefix: Mapping[int, KeysValues]
    flags: Mapping[int, Mapping[str, Any]]

    def select(self, rows: Tensor) -> Replay:
        """The given rows only, `rows` `(b,)` int64."""

        def chosen(tensor: Tensor) -> Tensor:
            return tensor[rows.to(tensor.device)]

        return replace(
            self,
            hidden=chosen(self.hidden),
            positions=chosen(self.positions),
            mask=chosen(self.mask),
            rotary=None if self.rotary is None else tuple(chosen(part) for part in self.rotary),
            prefix={i: (chosen(keys), chosen(values)) for i, (keys, values) in self.prefix.items()},
        )

    def forward(self, model: LanguageModel, hidden: Tensor) -> Tensor:
        """Output `(B, S, d)` of the last block, before the final norm, from `hidden` `(B, S, d)` after `layer`."""
        given = {
            "attention_mask": self.mask,
            "position_ids": self.positions,
            "position_embeddings": self.rotary,
            "use_cache": False,
            **dict.fromkeys(CACHE_NAMES, _FrozenPrefix(self.prefix)),
        }
        with _plain_attention(model), _fused_activation(model):
            for i in range(self.layer + 1, model.n_blocks):
                arguments = {name: given.get(name, value) for name, value in self.flags[i].items()}
                hidden = hidden_of(model.blocks[i](hidden, **arguments))
        return hidden


@contextmanager
def _plain_attention(model: LanguageModel) -> Iterator[None]:
    """Attention as plain products: for some queries and few keys twice as fast as a fused kernel, there and back."""
    config = model.module.config
    usual = config._attn_implementation
    config._attn_implementation = "eager"
    try:
        yield
    finally:
        config._attn_implementation = usual


def fuses(model: LanguageModel) -> bool:
    """Whether replay runs GELU as one kernel: on a CPU it does not, so that stored tables keep their bits."""
    return model.device.type != "cpu"


@contextmanager
def _fused_activation(model: LanguageModel) -> Iterator[None]:
    """The tanh form of GELU in one kernel instead of eight: half the time, and one tensor kept for the way back instead
    of four, which are most of what a step holds."""
    from transformers.activations import NewGELUActivation

    found = [part for part in model.blocks.modules() if isinstance(part, NewGELUActivation)] if fuses(model) else []
    before = [vars(part).get("forward") for part in found]
    try:
        for part in found:
            vars(part)["forward"] = partial(torch.nn.functional.gelu, approximate="tanh")
        yield
    finally:
        for part, own in zip(found, before, strict=True):
            if own is None:
                vars(part).pop("forward", None)
            else:  # such as the one by which accelerate moves what comes in
                vars(part)["forward"] = own
