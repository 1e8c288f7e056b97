# SPDX-License-Identifier: Apache-2.0
"""The linear systems of the field, in float64, symmetric positive definite ones by Cholesky.

`C` is `(f, f)`, keys `K` `(f, n)`, residuals `R` `(d, n)`; every solution `Delta` is `(d, f)`. Each is found on the
device of the keys, to which the rest is brought.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kedit.models.doubles import doubles

__all__ = [
    "Constrained",
    "NullSpace",
    "SolveError",
    "cholesky",
    "constrained",
    "null_space",
    "rank_one",
    "ridge",
]

# Relative to the largest eigenvalue.
DEPENDENT = 1e-11


class SolveError(ValueError):
    """A linear system without a trustworthy solution."""


def ridge(keys: Tensor, residuals: Tensor, factor: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """MEMIT's least squares, `Delta = R K^T (lambda C + K K^T)^{-1}` (MEMIT-Merge eq. 1, D4S eq. 5), as factors.

    Uses Woodbury's identity, so that the `f x f` factor is made once and each call solves an `n x n` system:
    `Y = (lambda C)^{-1} K`, `Delta = R (I + K^T Y)^{-1} Y^T`.

    Args:
        keys: `(f, n)`.
        residuals: `(d, n)`.
        factor: lower Cholesky factor of `C`, `(f, f)`.
        strength: `lambda`, in units of tokens.

    Returns:
        `(left, right)`, `(d, n)` and `(f, n)`, with `Delta = left @ right.T`.

    Raises:
        SolveError: `strength` is not positive.
    """
    if strength <= 0:
        raise SolveError(f"lambda is {strength}; the ridge must be positive")
    keys = doubles(keys)
    lower = factor.to(keys)
    # As two triangular solves: cholesky_solve would copy the factor at every call.
    weighted = torch.linalg.solve_triangular(lower, keys, upper=False)
    weighted = torch.linalg.solve_triangular(lower.T, weighted, upper=True) / strength
    gram = _eye(keys.shape[1], keys) + keys.T @ weighted
    inner = cholesky((gram + gram.T) / 2, "I + K^T Y")
    return residuals.to(keys), torch.cholesky_solve(weighted.T, inner).T


@dataclass(frozen=True, slots=True)
class Constrained:
    """`Delta = left @ right.T`, `(d, n)` and `(f, n)`, and the number of independent constraints it meets; with slack
    it meets none exactly, and `rank` is that of the system, `n`."""

    left: Tensor
    right: Tensor
    rank: int


def constrained(keys: Tensor, residuals: Tensor, factor: Tensor, alpha: float = 1.0, slack: float = 0.0) -> Constrained:
    """EMMET's batch of constraints, `Delta = R D^{-1} K^T (alpha C)^{-1}` with `D = K^T (alpha C)^{-1} K + slack I`.

    Without slack `Delta K = R`, and of all such changes the one with the least `tr(Delta C Delta^T)`. Where keys depend
    on each other, residuals that contradict each other are met in the least-squares sense. With slack the result is
    that of `ridge` with `lambda = alpha * slack`.

    Args:
        keys: `(f, n)`.
        residuals: `(d, n)`.
        factor: lower Cholesky factor of `C`, `(f, f)`.
        alpha: positive.
        slack: not negative.

    Raises:
        SolveError: `alpha` is not positive, `slack` is negative, or without slack no key differs from zero.
    """
    if alpha <= 0 or slack < 0:
        raise SolveError(f"alpha is {alpha} and slack {slack}; alpha must be positive and slack not negative")
    keys = doubles(keys)
    weighted = torch.cholesky_solve(keys, factor.to(keys)) / alpha
    gram = keys.T @ weighted
    values, vectors = torch.linalg.eigh((gram + gram.T) / 2 + slack * _eye(len(gram), gram))
    if not float(values[-1]) > 0:
        raise SolveError("every key is zero; there is nothing that a change of the weights could answer to")
    # Eigenvalues below this are rounding: the keys they belong to are combinations of the others.
    independent = values > DEPENDENT * values[-1]
    basis = vectors[:, independent]
    return Constrained(residuals.to(keys) @ (basis / values[independent]) @ basis.T, weighted, int(independent.sum()))


@dataclass(frozen=True, slots=True)
class NullSpace:
    """The directions that preserved keys hardly use: orthonormal columns `basis` `(f, q)`, and `energy`, the share
    `tr(P C) / tr(C)` that preserved keys have in them."""

    basis: Tensor
    energy: float


def null_space(moment: Tensor, threshold: float) -> NullSpace:
    """The eigenvectors of `C` `(f, f)` whose eigenvalue is below `threshold` times the mean eigenvalue.

    Relative, so that the rank does not change with the scale of the activations.

    Raises:
        SolveError: there is none.
    """
    values, vectors = torch.linalg.eigh(doubles(moment))
    null = values < threshold * values.mean()
    if not bool(null.any()):
        raise SolveError(
            f"no eigenvalue of the second moment is below {threshold} of their mean (the smallest is at "
            f"{float(values[0] / values.mean()):.3g}): nothing could be changed; give a larger threshold"
        )
    return NullSpace(vectors[:, null], float(values[null].clamp(min=0).sum() / values.sum()))


def rank_one(
    residual: Tensor, direction_key: Tensor, reached_key: Tensor, factor: Tensor | None
) -> tuple[Tensor, Tensor]:
    """ROME's exact constraint on one key, `Delta = r (C^{-1} k)^T / (k^T C^{-1} k)`, as factors.

    Args:
        residual: `r = v* - W k`, `(d,)`.
        direction_key: the key in the direction `C^{-1} k`, `(f,)`.
        reached_key: the key on which the constraint holds, `(f,)`; the same key in the paper, the bare prompt's in
            the published code.
        factor: lower Cholesky factor of `C`, or None for the identity.

    Returns:
        `(left, right)`, `(d, 1)` and `(f, 1)`.

    Raises:
        SolveError: the direction does not see the key, so that no finite update reaches the value, or points away from
            it, which only two different keys can do.
    """
    key = doubles(direction_key)[:, None]
    reached_key = reached_key.to(key)
    direction = key if factor is None else torch.cholesky_solve(key, factor.to(key))
    reach = float(reached_key @ direction[:, 0])
    scale = float(reached_key.norm() * direction.norm())
    if not reach > 1e-12 * scale:
        raise SolveError(
            f"the key's weight along the update direction is {reach:.3g}: it must be positive, as it is for a key "
            "other than zero along its own direction; use one averaged key for both"
        )
    return residual.to(key)[:, None], direction / reach


def _eye(n: int, like: Tensor) -> Tensor:
    return torch.eye(n, dtype=like.dtype, device=like.device)


def cholesky(matrix: Tensor, what: str) -> Tensor:
    """Lower Cholesky factor of a symmetric matrix, named `what` in the message.

    Raises:
        SolveError: it is not positive definite.
    """
    lower: Tensor
    lower, info = torch.linalg.cholesky_ex(matrix)
    if int(info) != 0:
        raise SolveError(
            f"{what} ({matrix.shape[0]} x {matrix.shape[0]}) is not positive definite at row {int(info)}: a key is not "
            "finite, or second moments are of too few tokens; give a larger corpus or more damping"
        )
    return lower
