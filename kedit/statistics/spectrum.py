# SPDX-License-Identifier: Apache-2.0
"""How many directions a second moment has, and how well a system with it can be solved."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["DAMPING", "Spectrum", "spectrum"]

# That of MEMIT's settings.
DAMPING = 1e-4


@dataclass(frozen=True, slots=True)
class Spectrum:
    """What the eigenvalues `l_1 <= ... <= l_f` of a second moment say.

    Attributes:
        effective_rank: `exp(-sum p log p)` with `p = l / sum l` (Roy and Vetterli 2007): `f` for equal eigenvalues.
        rank: number of eigenvalues above `f * eps * l_f`, with the `eps` of float64.
        condition: `l_f / l_1`; infinite where the rank is not full.
        damped_condition: that of `C + damping * trace(C) / f * I`.
        freedom: `trace(C (C + damping * trace(C) / f * I)^-1)`, what the keys' `k^T C_damped^-1 k` is on average.
        smallest, largest: `l_1` and `l_f`.
    """

    effective_rank: float
    rank: int
    condition: float
    damped_condition: float
    freedom: float
    smallest: float
    largest: float


def spectrum(matrix: Tensor, damping: float = DAMPING) -> Spectrum:
    """The eigenvalues of a symmetric `(f, f)` matrix in float64, on its device."""
    values = torch.linalg.eigvalsh(matrix.double())
    smallest, largest = float(values[0]), float(values[-1])
    positive = values.clamp(min=0)
    shares = positive / positive.sum()
    rank = int((values > len(values) * torch.finfo(torch.float64).eps * largest).sum())
    ridge = damping * float(values.mean())
    return Spectrum(
        effective_rank=math.exp(float(torch.special.entr(shares).sum())),
        rank=rank,
        condition=largest / smallest if rank == len(values) else math.inf,
        damped_condition=(largest + ridge) / (max(smallest, 0.0) + ridge),
        freedom=float((positive / (positive + ridge)).sum()),
        smallest=smallest,
        largest=largest,
    )
