# SPDX-License-Identifier: Apache-2.0
"""Systems that are not the ones of the papers, and solutions that are laid on the weights in a wrong way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from editing_tests.mutants.patching import Patched, Wrapped
from kedit.editors.d4s import D4S
from kedit.editors.memit import Memit, MemitMerge
from kedit.editors.rome import Rome
from kedit.updates import Change

RIDGE = "kedit.editors.memit.ridge"
RANK_ONE = "kedit.editors.rome.rank_one"


def each_alone(right: Any, keys: Tensor, residuals: Tensor, *args: Any) -> tuple[Tensor, Tensor]:
    columns = [right(keys[:, [i]], residuals[:, [i]], *args) for i in range(keys.shape[1])]
    lefts, rights = zip(*columns, strict=True)
    return torch.cat(lefts, dim=1), torch.cat(rights, dim=1)


def subtracted(right: Any, *args: Any) -> tuple[Tensor, Tensor]:
    left, other = right(*args)
    return -left, other


def doubled(right: Any, history: Any, keys: Tensor, residuals: Tensor) -> Any:
    return right(history, keys, 2 * residuals)


def without_f(right: Any, keys: Tensor, residuals: Tensor, factor: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    return right(keys, residuals, factor, strength * len(factor))


def in_float16(right: Any, keys: Tensor, residuals: Tensor, factor: Tensor, strength: float) -> Any:
    moment = (factor @ factor.T).half().double()
    return right(keys, residuals, torch.linalg.cholesky(moment), strength)


def not_normalised(right: Any, residual: Tensor, direction: Tensor, reached: Tensor, factor: Tensor) -> Any:
    left, _ = right(residual, direction, reached, factor)
    return left, torch.cholesky_solve(direction.double()[:, None], factor)


def not_solved(right: Any, residual: Tensor, direction: Tensor, reached: Tensor, factor: Tensor) -> Any:
    return right(residual, factor @ (factor.T @ direction), reached, None)


@dataclass(frozen=True)
class Viewed:
    """A change whose numbers are laid out anew as `(f, d)`, not turned, before they are added to a `(f, d)` weight."""

    change: Change

    def new_weight(self, weight: Tensor) -> Tensor:
        delta = self.change.new_weight(weight) - weight
        return weight + delta.contiguous().view(weight.shape[1], weight.shape[0]).T


class BatchInParts(Patched, MemitMerge):
    """Every fact of a batch is solved alone, and the changes are added up."""

    wrong = ((RIDGE, each_alone),)


class Subtracted(Patched, Memit):
    """The change is subtracted."""

    wrong = ((RIDGE, subtracted),)


class ResidualTwice(Patched, D4S):
    """Residuals are counted twice when a layer is solved."""

    wrong = (("kedit.locate_then_edit.history.History.plus", doubled),)


class RidgeTimesKeys(Patched, Memit):
    """A ridge that is meant for the sum over tokens is multiplied by the size of the keys once more."""

    wrong = ((RIDGE, without_f),)


class DirectionNotNormalised(Patched, Rome):
    """The direction is not divided by the key's weight along it."""

    wrong = ((RANK_ONE, not_normalised),)


class MomentNotInverted(Patched, Rome):
    """The key is multiplied by the second moment, not by its inverse."""

    wrong = ((RANK_ONE, not_solved),)


class ViewedNotTurned(Wrapped):
    """The change is viewed in the shape of a Conv1D weight, not transposed."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        return replace(update, changes={name: Viewed(change) for name, change in update.changes.items()}), after


class MomentInFloat16(Patched, Memit):
    """The second moment is kept in float16."""

    wrong = ((RIDGE, in_float16),)


class CholeskyInStoredPrecision(Wrapped):
    """The system is solved in the dtype of the model."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        moment = torch.eye(model.f, dtype=model.weight(0).dtype)
        torch.linalg.cholesky(moment)
        return super().edit(model, facts, state)
