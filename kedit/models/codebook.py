# SPDX-License-Identifier: Apache-2.0
"""A codebook beside one layer: keys with a radius, and what the down-projection answers inside it.

The memory of GRACE (Hartvigsen et al. 2023, "Aging with GRACE", section 3). It looks at every token by itself: no index
of a token is kept between passes, so padding, batching, teacher forcing and generation with a cache agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kedit.models.architectures import ModelError
from kedit.models.language_model import LanguageModel

__all__ = ["Codebook"]


@dataclass(frozen=True)
class Codebook:
    """`n` entries beside the down-projection of one block, all float32 on the CPU; row `i` of each is entry `i`.

    Attributes:
        layer: the block.
        keys: `(n, f)`, inputs of the down-projection.
        values: `(n, d)`, what its output becomes.
        radii: `(n,)`, Euclidean distances to the key, in units of the input's activations.
        labels: for each entry the token ids of the target it was made for.
    """

    layer: int
    keys: Tensor
    values: Tensor
    radii: Tensor
    labels: tuple[tuple[int, ...], ...]

    @classmethod
    def empty(cls, layer: int, f: int, d: int) -> Codebook:
        """No entries yet."""
        return cls(layer, torch.zeros(0, f), torch.zeros(0, d), torch.zeros(0), ())

    def __len__(self) -> int:
        """Number of entries."""
        return len(self.labels)

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """Keys, values and radii, by names that say the block."""
        place = f"codebook.{self.layer}"
        return {f"{place}.keys": self.keys, f"{place}.values": self.values, f"{place}.radii": self.radii}

    def nearest(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Distance `(...)` float64 and index `(...)` int64 of the key nearest to each query `(..., f)`.

        Raises:
            ModelError: the codebook is empty.
        """
        if not len(self):
            raise ModelError("an empty codebook has no nearest key; add an entry first")
        # The expanded square loses half of the digits, and float64 has enough of them.
        asked, keys = queries.detach().double().flatten(0, -2), self.keys.to(queries.device).double()
        squares = asked.square().sum(1, keepdim=True) - 2 * asked @ keys.T + keys.square().sum(1)
        best = squares.min(1)
        return best.values.clamp(min=0).sqrt().view(queries.shape[:-1]), best.indices.view(queries.shape[:-1])

    def answering(self, queries: Tensor) -> Tensor:
        """The entry that answers each query `(..., f)`: the nearest if its ball holds the query, else -1; int64."""
        if not len(self):
            return torch.full(queries.shape[:-1], -1, dtype=torch.long, device=queries.device)
        distance, index = self.nearest(queries)
        return index.where(distance <= self.radii.to(distance)[index], -1)

    def output(self, queries: Tensor, output: Tensor) -> Tensor:
        """What the layer answers to `queries` `(..., f)` instead of `output` `(..., d)`.

        Where no ball holds a query the numbers are those of `output`, bit for bit; with no hit at all it is `output`.
        """
        entry = self.answering(queries)
        hit = entry >= 0
        if not bool(hit.any()):
            return output
        changed = output.clone()
        changed[hit] = self.values.to(output)[entry[hit]]
        return changed

    def attach(self, model: LanguageModel) -> Callable[[], None]:
        """Hook into the block's down-projection; the function it returns takes the hook out again.

        Raises:
            ModelError: the model has no such block, or its sizes are others.
        """
        down = model.down_projection(self.layer)
        if self.keys.shape[1] != model.f or self.values.shape[1] != model.d:
            raise ModelError(
                f"a codebook of keys of size {self.keys.shape[1]} and values of size {self.values.shape[1]} does not "
                f"fit {model.name} with {model.f} and {model.d}; attach it to the model it was made for"
            )

        def answer(_module: nn.Module, args: Sequence[Any], output: Tensor) -> Tensor:
            return self.output(args[0], output)

        return down.register_forward_hook(answer).remove
