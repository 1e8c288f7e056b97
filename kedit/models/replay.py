# SPDX-License-Identifier: Apache-2.0
"""Running only the blocks above a layer, from cached hidden states.

Changing the hidden state of one token after block `l` changes nothing below block `l` and, because attention is
causal, nothing at earlier tokens. So a recording keeps the hidden states after block `l` from that token on, and the
attention keys and values of the earlier tokens; every later pass computes the rest alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kedit.models.activations import Enough, hidden_of
from kedit.models.language_model import LanguageModel

__all__ = ["CACHE_NAMES", "KeysValues", "Places", "Replay"]

# With fewer tokens a second call of the last block costs more than it saves.
MANY_TOKENS = 256
# Attention keys and values `(B, H, T, h)`.
KeysValues = tuple[Tensor, Tensor]
Update = Callable[[Tensor, Tensor, int], KeysValues]

# How families call the cache among the arguments of a block; both spellings are in use.
CACHE_NAMES = ("past_key_values", "layer_past")


class _Cache:
    """What a block takes for its cache: told the new keys and values, `update` answers with those to attend to."""

    def __init__(self, update: Update) -> None:
        self._update = update

    def update(self, keys: Tensor, values: Tensor, layer: int, *_args: Any, **_kwargs: Any) -> KeysValues:
        return self._update(keys, values, layer)


@dataclass(frozen=True, slots=True)
class Places:
    """Tokens to read: `line` and `column`, `(n,)`, and each as a row of one token for the last block, if that pays."""

    line: Tensor
    column: Tensor
    alone: Replay | None


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
        return self._blocks(model, hidden, model.n_blocks)

    def places(self, line: Tensor, column: Tensor) -> Places:
        """The tokens at `line` and `column`, both `(n,)`, for `read`."""
        last = max(self.prefix, default=self.layer)
        if self.layer == last or self.hidden.shape[:2].numel() < MANY_TOKENS:
            return Places(line, column, None)
        keys, values = self.prefix[last]
        alone = replace(
            self,
            hidden=self.hidden[line, column][:, None],
            positions=self.positions[line, column][:, None],
            mask=self.mask[line, :, column][:, :, None],
            rotary=None if self.rotary is None else tuple(part[line, column][:, None] for part in self.rotary),
            prefix={last: (keys[line], values[line])},
        )
        return Places(line, column, alone)

    def read(self, model: LanguageModel, hidden: Tensor, places: Places) -> Tensor:
        """What `forward` gives at some tokens, `(n, d)`.

        In the last block all tokens give keys and values, but only those that are read run through the rest.
        """
        if places.alone is None:
            return self.forward(model, hidden)[places.line, places.column]
        last = model.n_blocks - 1
        hidden = self._blocks(model, hidden, last)
        seen: list[KeysValues] = []

        def catch(keys: Tensor, values: Tensor, _layer: int) -> KeysValues:
            seen.append((keys, values))
            raise Enough

        with suppress(Enough):
            self._block(model, last, hidden, catch)
        ((keys, values),) = seen
        alone, line = places.alone, places.line

        def answer(_keys: Tensor, _values: Tensor, layer: int) -> KeysValues:
            return alone._behind_prefix(keys[line], values[line], layer)

        return alone._block(model, last, hidden[line, places.column][:, None], answer)[:, 0]

    def _blocks(self, model: LanguageModel, hidden: Tensor, end: int) -> Tensor:
        with _plain_attention(model):
            for i in range(self.layer + 1, end):
                hidden = self._block(model, i, hidden, self._behind_prefix)
        return hidden

    def _block(self, model: LanguageModel, layer: int, hidden: Tensor, update: Update) -> Tensor:
        given = {
            "attention_mask": self.mask,
            "position_ids": self.positions,
            "position_embeddings": self.rotary,
            "use_cache": False,
            **dict.fromkeys(CACHE_NAMES, _Cache(update)),
        }
        arguments = {name: given.get(name, value) for name, value in self.flags[layer].items()}
        return hidden_of(model.blocks[layer](hidden, **arguments))

    def _behind_prefix(self, keys: Tensor, values: Tensor, layer: int) -> KeysValues:
        before_keys, before_values = self.prefix[layer]
        return torch.cat([before_keys, keys], 2), torch.cat([before_values, values], 2)


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
