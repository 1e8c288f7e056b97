# SPDX-License-Identifier: Apache-2.0
"""The network of MEND (Mitchell et al. 2022, section 3.2): factors of a gradient in, factors of an edit out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kedit.hypernetworks.factors import Factors

__all__ = ["HyperNetwork", "HypernetworkError", "Normaliser"]

# Added to standard deviations, as the published code does.
EPSILON = 1e-7


class HypernetworkError(ValueError):
    """Hypernetwork weights or a training that do not fit; the message says why and what to do."""


class Normaliser(nn.Module):
    """Running mean and standard deviation of each of `size` features; only `observe` changes them."""

    count: Tensor
    mean: Tensor
    squares: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("squares", torch.zeros(size, dtype=torch.float64))

    @torch.no_grad()
    def observe(self, values: Tensor) -> None:
        """Count `values` `(n, size)` in, by the pairwise update of Chan et al. (float64)."""
        if not len(values):
            return
        values = values.double()
        n, total = len(values), float(self.count) + len(values)
        mean = values.mean(0)
        off = mean - self.mean
        self.squares += (values - mean).square().sum(0) + off.square() * (float(self.count) * n / total)
        self.mean += off * (n / total)
        self.count.fill_(total)

    def forward(self, values: Tensor) -> Tensor:
        """`values` `(n, size)` with mean 0 and standard deviation 1 by what was observed; as they are before that."""
        if self.count < 2:
            return values
        deviation = (self.squares / (self.count - 1)).sqrt() + EPSILON
        return (values - self.mean.to(values)) / deviation.to(values)


class LowRankLayer(nn.Module):
    """`a + relu(scale * (U V a + b) + shift)` (eq. 3), with `U` `(D, r)` zero and `V` `(r, D)` Xavier at the start."""

    def __init__(self, size: int, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.u = nn.Parameter(torch.zeros(size, rank))
        self.v = nn.Parameter(nn.init.xavier_uniform_(torch.empty(rank, size), generator=generator))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, a: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """From `a` `(n, D)` with the matrix's own `scale` and `shift` `(D,)`."""
        inner = scale * (a @ self.v.T @ self.u.T + self.bias) + shift
        # clamp and not relu: at zero, where training starts, relu has no gradient.
        return a + inner.clamp(min=0)


class Transform(nn.Module):
    """What all matrices of one shape `(d_out, f_in)` share: normalisation and the low-rank layers."""

    def __init__(self, shape: tuple[int, int], rank: int, depth: int, generator: torch.Generator) -> None:
        super().__init__()
        self.outputs, self.inputs = shape
        self.normalise_inputs = Normaliser(self.inputs)
        self.normalise_gradients = Normaliser(self.outputs)
        size = self.inputs + self.outputs
        self.layers = nn.ModuleList(LowRankLayer(size, min(rank, size), generator) for _ in range(depth))

    def forward(self, factors: Factors, own: Own) -> tuple[Tensor, Tensor]:
        """Transformed gradients `(n, d_out)` and inputs `(n, f_in)`."""
        parts = [self.normalise_inputs(factors.inputs), self.normalise_gradients(factors.gradients)]
        a = torch.cat(parts, -1)
        for number, layer in enumerate(self.layers):
            a = layer(a, own.scale[number], own.shift[number])
        inputs, gradients = a.split([self.inputs, self.outputs], -1)
        return gradients, inputs


class Own(nn.Module):
    """What one matrix has of its own: a rate, and `scale` and `shift` `(depth, D)` of the layers."""

    def __init__(self, shape: tuple[int, int], depth: int, rate: float) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(rate))
        self.scale = nn.Parameter(torch.ones(depth, sum(shape)))
        self.shift = nn.Parameter(torch.zeros(depth, sum(shape)))


class HyperNetwork(nn.Module):
    """The transforms of a model's edited matrices, one for each shape, and what each matrix has of its own.

    What belongs to a matrix is held under its full parameter name, here and in files, so no order can mix it up.

    Attributes:
        matrices: full parameter name -> shape `(d_out, f_in)`, in math orientation.
    """

    def __init__(
        self, matrices: Mapping[str, tuple[int, int]], *, rank: int, depth: int = 2, rate: float = 1e-4, seed: int = 0
    ) -> None:
        """Untrained: the identity on normalised factors, and `rate` for every matrix."""
        super().__init__()
        self.matrices = dict(matrices)
        self.rank, self.depth = rank, depth
        generator = torch.Generator().manual_seed(seed)
        shapes = sorted(set(self.matrices.values()))
        self.transforms = nn.ModuleDict({_label(shape): Transform(shape, rank, depth, generator) for shape in shapes})
        self.own = nn.ModuleDict({_key(name): Own(shape, depth, rate) for name, shape in self.matrices.items()})

    def observe(self, factors: Mapping[str, Factors]) -> None:
        """Count the factors of some facts into the running statistics; training calls this, editing never does."""
        for name, found in factors.items():
            transform = self._transform(name)
            transform.normalise_inputs.observe(found.inputs)
            transform.normalise_gradients.observe(found.gradients)

    def forward(self, name: str, factors: Factors) -> tuple[Tensor, Tensor]:
        """The edit of one matrix, `left` `(n, d_out)` and `right` `(n, f_in)`: `W + left^T right` is edited.

        The paper subtracts the rate times the transformed gradient (eq. 2), and so does this: `left = -rate g~`. The
        published code adds it and leaves the sign to training.
        """
        own: Any = self.own[_key(name)]
        gradients, inputs = self._transform(name)(factors, own)
        return -own.rate * gradients, inputs

    def rates(self) -> list[nn.Parameter]:
        """The learned step size of every matrix."""
        return [parameter for name, parameter in self.named_parameters() if name.endswith(".rate")]

    def others(self) -> list[nn.Parameter]:
        """All parameters but the rates."""
        return [parameter for name, parameter in self.named_parameters() if not name.endswith(".rate")]

    def _transform(self, name: str) -> Any:
        return self.transforms[_label(self.matrices[name])]


def _label(shape: tuple[int, int]) -> str:
    return f"{shape[0]}x{shape[1]}"


def _key(name: str) -> str:
    # Names of modules hold no dots.
    return name.replace(".", "/")
