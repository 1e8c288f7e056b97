# SPDX-License-Identifier: Apache-2.0
"""Sums of `k k^T` over tokens, for several layers in one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import pairwise

import torch
from torch import Tensor

from kedit.models.activations import Enough, Site, chunks, hooked, run
from kedit.models.doubles import doubles
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import Row, collate

__all__ = ["Gram", "add_keys", "gram_bytes", "sum_keys", "whole"]

# The lower triangle in n strips of equal height needs (n + 1) / (2 n) of the multiplications and of the memory.
STRIPS = 8


class Gram:
    """`sum k k^T` `(f, f)` as strips of its lower triangle, float64, on the device of the keys it was last given, or
    in host memory if that is MPS, which has no float64.

    Products of one call are made in float32 (half-precision keys on a GPU: with their own exact products and a float32
    result) and added up over calls in float64. Against float64 throughout that is off by 5e-8 to 1e-7 (relative,
    Frobenius norm; tiny models, 40,000 tokens), float32 throughout by 2e-7, and takes a quarter of the time of whole
    float64 products on a CPU.

    Attributes:
        strips: rows `a..b` and columns `0..b` of the sum, for each pair of neighbors in `edges(f)`.
    """

    def __init__(self, f: int, *, exact: bool = False) -> None:
        """A sum of nothing; `exact` makes the products in float64 too."""
        self.f = f
        self.exact = exact
        self.strips = [torch.zeros(end - start, end, dtype=torch.float64) for start, end in pairwise(edges(f))]

    def add(self, keys: Tensor) -> None:
        """Add keys `(n, f)`."""
        device = doubles(keys[:0]).device
        if device != self.strips[0].device:
            self.strips = [strip.to(device) for strip in self.strips]
        keys = doubles(keys) if self.exact else keys if keys.is_cuda else keys.float()
        for (start, end), strip in zip(pairwise(edges(self.f)), self.strips, strict=True):
            strip.add_(_product(keys[:, start:end], keys[:, :end]).to(device))

    def put(self, strips: Sequence[Tensor]) -> None:
        """Be the sum that `strips` hold."""
        for own, given in zip(self.strips, strips, strict=True):
            own.copy_(given)

    def matrix(self) -> Tensor:
        """The whole sum, `(f, f)` float64, symmetric to the bit, on the CPU."""
        return whole(self.strips)


def edges(f: int) -> list[int]:
    """Where the strips of an `f x f` matrix begin and end."""
    return sorted({round(f * i / STRIPS) for i in range(STRIPS + 1)})


def whole(strips: Sequence[Tensor]) -> Tensor:
    """The symmetric matrix whose lower triangle `strips` hold; put together on their device, and then on the CPU."""
    f = strips[-1].shape[1]
    matrix = torch.zeros(f, f, dtype=torch.float64, device=strips[0].device)
    for (start, end), strip in zip(pairwise(edges(f)), strips, strict=True):
        corner = strip[:, start:].tril()
        matrix[start:end, :start] = strip[:, :start]
        matrix[:start, start:end] = strip[:, :start].T
        matrix[start:end, start:end] = corner + corner.tril(-1).T
    return matrix.cpu()


def gram_bytes(f: int) -> int:
    """Bytes of the strips of one layer."""
    return 8 * sum((end - start) * end for start, end in pairwise(edges(f)))


def _product(left: Tensor, right: Tensor) -> Tensor:
    if left.is_cuda and left.dtype in (torch.bfloat16, torch.float16):
        with suppress(TypeError):  # torch before 2.8 does not take it
            return torch.mm(left.T, right, out_dtype=torch.float32)
        return left.T.float() @ right.float()
    return left.T @ right


def add_keys(model: LanguageModel, rows: Sequence[Row], sums: Mapping[int, Gram]) -> int:
    """Run rows through the blocks up to the last layer's keys and add every real token's keys to `sums`, by layer.

    Returns:
        The number of tokens; padding never counts.
    """
    lengths = [len(row.ids) for row in rows]
    batch = collate(rows, device=model.device)
    width, last = max(lengths), max(sums)
    real: Tensor | None = None
    if min(lengths) < width:
        columns = [i * width + column for i, length in enumerate(lengths) for column in range(length)]
        real = torch.tensor(columns, device=model.device)

    def add_to(layer: int) -> Callable[[Tensor], None]:
        def add(keys: Tensor) -> None:
            flat = keys.detach().flatten(0, 1)
            sums[layer].add(flat if real is None else flat.index_select(0, real.to(flat.device)))
            if layer == last:
                raise Enough

        return add

    with torch.no_grad(), model.frozen(), ExitStack() as stack:
        for layer in sums:
            stack.enter_context(hooked(model, Site("key", layer), add_to(layer)))
        run(model, batch, use_cache=False)
    return sum(lengths)


def sum_keys(model: LanguageModel, rows: Sequence[Row], sums: Mapping[int, Gram], budget: int) -> int:
    """Add the keys of rows of any number to `sums`, by layer, at most `budget` padded tokens in a pass.

    Returns:
        The number of tokens.
    """
    parts = chunks([len(row.ids) for row in rows], budget)
    return sum(add_keys(model, [rows[i] for i in part], sums) for part in parts)
