# SPDX-License-Identifier: Apache-2.0
"""A growing sum `A = A0 + K K^T` over the keys of a session, and least squares against it, without factoring anew.

Kept are the Cholesky factor of an earlier sum and the keys since, so that a call solves by Woodbury's identity; when
too many are pending they are folded into the factor. The error is about `eps |K|^2 / lambda_min(A0)` for the keys
between two folds: a penalty that is weak beside the keys costs digits. Objects are values: what did not change is
shared between old and new, and all of it is float64, on the device of the keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kedit.locate_then_edit.solvers import SolveError, cholesky, ridge

__all__ = ["PENDING", "FactoredSum", "History", "staggered"]

# Columns of a buffer. A call costs 2 f^2 a pending key and a fold 7/3 f^3, so single edits cost least with
# sqrt(7/3 f) columns, 69 at f = 2048 and 195 at 16384; around that the cost is flat, and a buffer is to be small.
PENDING = 64


def staggered(layers: Sequence[int]) -> dict[int, int]:
    """With how many zeros the sum of each layer begins, so that single edits do not fold two layers in one call: old
    and new factors are held at once then, and at `f` = 16384 each has 2 GiB."""
    return {layer: PENDING * place // len(layers) for place, layer in enumerate(layers)}


@dataclass(frozen=True)
class FactoredSum:
    """`A = L L^T + K K^T`, as the factor of what was folded and the keys since.

    Attributes:
        factor: `L`, lower, `(q, q)`.
        keys: `K`, `(q, B)`, zero in the columns from `used` on.
        used: number of pending keys, and of zeros that stand for some.
    """

    factor: Tensor
    keys: Tensor
    used: int

    @classmethod
    def start(cls, factor: Tensor, strength: float, *, used: int = 0) -> FactoredSum:
        """The sum without keys, `A0 = strength * factor factor^T`, that begins with `used` zeros for keys.

        Raises:
            SolveError: `strength` is not positive.
        """
        if strength <= 0:
            raise SolveError(f"the penalty's weight (lambda, or l2 of AlphaEdit) is {strength}; it must be positive")
        return cls(factor * strength**0.5, factor.new_zeros(len(factor), PENDING), used)

    def beside(self, like: Tensor) -> FactoredSum:
        """The same on the device of `like`; a session that was read from files may be elsewhere."""
        return replace(self, factor=self.factor.to(like), keys=self.keys.to(like))

    def with_pending(self, keys: Tensor) -> Tensor:
        """The pending keys and then `keys` `(q, n)`."""
        return torch.cat([self.keys[:, : self.used], keys], dim=1)

    def is_full(self, n: int) -> bool:
        """Whether `n` more keys make it fold."""
        return self.used + n > self.keys.shape[1]

    def plus(self, keys: Tensor) -> FactoredSum:
        """`A + keys keys^T`, for `keys` `(q, n)`, `n` of any size."""
        if self.is_full(keys.shape[1]):
            everything = self.with_pending(keys)
            total = (self.factor @ self.factor.T).addmm_(everything, everything.T)
            return FactoredSum(cholesky(total, "the penalty and the sum of keys"), torch.zeros_like(self.keys), 0)
        buffer, used = self.keys.clone(), self.used + keys.shape[1]
        buffer[:, self.used : used] = keys
        return replace(self, keys=buffer, used=used)

    def ridge(self, keys: Tensor, residuals: Tensor) -> tuple[Tensor, Tensor]:
        """`Delta = R K^T (A + K K^T)^{-1}` as factors, for `keys` `(q, n)` and `residuals` `(d, n)`: those of earlier
        keys are zero."""
        earlier = residuals.new_zeros(len(residuals), self.used)
        left, right = ridge(self.with_pending(keys), torch.cat([earlier, residuals], dim=1), self.factor, 1.0)
        return left[:, self.used :], right[:, self.used :]


@dataclass(frozen=True)
class History:
    """Least squares over all keys and residuals of a session, `Delta = S A^{-1}` with `S = sum r k^T` and
    `A = lambda C + sum k k^T` (D4S eq. 9 and 13).

    With `Delta0` the solution of what was folded and `R` the residuals since, `S = Delta0 L L^T + R K^T`, so
    `Delta = Delta0 + (R - Delta0 K) K^T A^{-1}`.

    Attributes:
        total: `A`.
        residuals: `R`, `(d, B)`, columns as those of the pending keys.
        solution: `Delta0`, `(d, f)`.
    """

    total: FactoredSum
    residuals: Tensor
    solution: Tensor

    @classmethod
    def start(cls, total: FactoredSum, d: int) -> History:
        """Nothing is asked for yet."""
        f, columns = total.keys.shape
        return cls(total, total.keys.new_zeros(d, columns), total.keys.new_zeros(d, f))

    def plus(self, keys: Tensor, residuals: Tensor) -> tuple[Tensor, History]:
        """The solution `(d, f)` with `keys` `(f, n)` and `residuals` `(d, n)` added, and the history with them."""
        total, solution, waiting = self.total.beside(keys), self.solution.to(keys), self.residuals.to(keys)
        used, n = total.used, keys.shape[1]
        everything = total.with_pending(keys)
        missed = torch.cat([waiting[:, :used], residuals], dim=1).addmm_(solution, everything, alpha=-1)
        left, right = ridge(everything, missed, total.factor, 1.0)
        delta = torch.addmm(solution, left, right.T)
        if total.is_full(n):
            return delta, History(total.plus(keys), torch.zeros_like(waiting), delta)
        buffer = waiting.clone()
        buffer[:, used : used + n] = residuals
        return delta, History(total.plus(keys), buffer, solution)
