# SPDX-License-Identifier: Apache-2.0
"""How alike the keys of a batch are."""

from __future__ import annotations

import torch
from torch import Tensor

from kedit.metrics.metric import Metric, MetricError

__all__ = ["AKD", "KEY_COSINE", "average_key_distance", "average_pairwise_cosine", "key_cosine", "nearest_cosines"]


def key_cosine(one: Tensor, other: Tensor) -> float:
    """Cosine of two keys `(f,)`.

    Raises:
        MetricError: the shapes differ, or a key is zero.
    """
    if one.ndim != 1 or one.shape != other.shape:
        raise MetricError(
            f"the cosine takes two keys of one length, got shapes {tuple(one.shape)} and {tuple(other.shape)}; "
            "pass keys of the same layer"
        )
    return average_pairwise_cosine(torch.stack([one, other], dim=1))


def average_pairwise_cosine(keys: Tensor) -> float:
    """Mean cosine over the unordered pairs of distinct columns of `keys` `(f, n)`, n at least 2.

    Raises:
        MetricError: fewer than two keys, or a zero key.
    """
    unit = _directions(keys)
    pairs = torch.combinations(torch.arange(unit.shape[1]))
    return float((unit[:, pairs[:, 0]] * unit[:, pairs[:, 1]]).sum(dim=0).mean())


def nearest_cosines(keys: Tensor) -> Tensor:
    """Cosine `(n,)` of each column of `keys` `(f, n)` with the one nearest to it in direction, n at least 2.

    Raises:
        MetricError: fewer than two keys, or a zero key.
    """
    unit = _directions(keys)
    cosines = (unit.T @ unit).clamp(-1.0, 1.0)  # rounding may step over 1
    cosines.fill_diagonal_(-torch.inf)
    return torch.amax(cosines, dim=1)


def average_key_distance(keys: Tensor) -> float:
    """Mean Euclidean distance over the unordered pairs of distinct columns of `keys` `(f, n)`, n at least 2.

    The paper divides a sum over `e1, e2 in B` by the number of unordered pairs; read as ordered pairs
    that would count each distance twice.

    Raises:
        MetricError: fewer than two keys.
    """
    columns = _columns(keys, "an average key distance")
    pairs = torch.combinations(torch.arange(columns.shape[1]))
    # Differences, not a Gram matrix: equal keys must give exactly 0.
    return float(torch.linalg.vector_norm(columns[:, pairs[:, 0]] - columns[:, pairs[:, 1]], dim=0).mean())


def _directions(keys: Tensor) -> Tensor:
    columns = _columns(keys, "a key cosine")
    lengths = torch.linalg.vector_norm(columns, dim=0)
    if not bool((lengths > 0).all()):
        raise MetricError("a zero key has no direction; the keys were not read")
    unit: Tensor = columns / lengths
    return unit


def _columns(keys: Tensor, what: str) -> Tensor:
    if keys.ndim != 2 or keys.shape[1] < 2:
        raise MetricError(f"{what} needs at least two keys as columns (f, n), got shape {tuple(keys.shape)}")
    return keys.detach().double()


KEY_COSINE = Metric(
    name="key cosine",
    definition="cosine of the keys of two facts; of more, the mean over unordered pairs",
    protocol="keys at one layer, at the subject's last token",
    unit="cosine, -1 to 1",
    source="S2RKE, section 5.2 and figure 6",
    better="neither",
    compute=average_pairwise_cosine,
)

AKD = Metric(
    name="AKD",
    definition="mean Euclidean distance of the keys of a batch over unordered pairs",
    protocol="keys at one layer, at the subject's last token",
    unit="units of the key",
    source="MEMIT-Merge, section 4.1",
    better="neither",
    compute=average_key_distance,
)
