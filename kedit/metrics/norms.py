# SPDX-License-Identifier: Apache-2.0
"""How large a weight is, and how far an edit moved it."""

from __future__ import annotations

import torch
from torch import Tensor

from kedit.metrics.metric import Metric, MetricError

__all__ = [
    "FROBENIUS",
    "L1",
    "RELATIVE_CHANGE",
    "frobenius_norm",
    "mean_absolute_entry",
    "numerical_rank",
    "relative_change",
]


def mean_absolute_entry(weight: Tensor) -> float:
    """`mean |w_ij|` of a weight `(d, f)`: what the D4S paper plots as the L1 norm of a layer.

    Raises:
        MetricError: the weight has no entries.
    """
    return float(_filled(weight).abs().mean())


def frobenius_norm(weight: Tensor) -> float:
    """`sqrt(sum w_ij^2)` of a weight `(d, f)`.

    Raises:
        MetricError: the weight has no entries.
    """
    return float(torch.linalg.vector_norm(_filled(weight)))


def relative_change(edited: Tensor, base: Tensor) -> float:
    """`||edited - base||_F / ||base||_F` of two weights `(d, f)`.

    Raises:
        MetricError: shapes differ, or the base is empty or zero.
    """
    if edited.shape != base.shape:
        raise MetricError(
            f"a weight of shape {tuple(edited.shape)} has no relative change against one of shape "
            f"{tuple(base.shape)}; pass the same parameter of the edited and of the unedited model"
        )
    size = frobenius_norm(base)
    if size == 0:
        raise MetricError("the relative change of a zero weight is not defined; use the Frobenius norm of the change")
    return frobenius_norm(edited.double() - base.double()) / size


def numerical_rank(matrix: Tensor, cutoff: float = 1e-4) -> int:
    """Number of singular values of `(d, f)` above `cutoff` times the largest, in float64; a vector is one row.

    The default lies above the rounding of a float32 weight and below what an editor means to write.

    Raises:
        MetricError: the matrix has no entries.
    """
    values = torch.linalg.svdvals(torch.atleast_2d(_filled(matrix)))
    return int((values > cutoff * values.max()).sum())


def _filled(weight: Tensor) -> Tensor:
    if weight.numel() == 0:
        raise MetricError(f"a weight of shape {tuple(weight.shape)} has no norm; pass one with entries")
    return weight.detach().double()


L1 = Metric(
    name="L1",
    definition="mean absolute entry of an edited weight",
    protocol="one edited matrix, summed in float64",
    unit="units of the weight",
    source="D4S, section 4.2 and figure 5; mean instead of sum as in its published code",
    better="neither",
    compute=mean_absolute_entry,
)

FROBENIUS = Metric(
    name="Frobenius",
    definition="square root of the sum of squared entries of an edited weight",
    protocol="one edited matrix, summed in float64",
    unit="units of the weight",
    source="mathematical definition",
    better="neither",
    compute=frobenius_norm,
)

RELATIVE_CHANGE = Metric(
    name="relative change",
    definition="Frobenius norm of the change of a weight divided by that of the weight before the first edit",
    protocol="one edited matrix against the unedited model's, summed in float64",
    unit="ratio",
    source="mathematical definition; cf. the norm curves of D4S, figure 5",
    better="lower",
    compute=relative_change,
)
