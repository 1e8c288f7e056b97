# SPDX-License-Identifier: Apache-2.0
"""Sums over a session that are doubled, lost, kept too long or changed in place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from editing_tests.mutants.patching import Patched
from editing_tests.references.counts_twice import CountsTwice
from kedit.editors.alphaedit import AlphaEdit
from kedit.editors.d4s import D4S, D4SState
from kedit.editors.memit import Memit
from kedit.locate_then_edit.history import FactoredSum, History


def with_its_own_weights(right: Any, model: Any, _weights: Any) -> Any:
    return right(model, {})


def spoiled(update: Any, after: D4SState, wrong: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]) -> Any:
    """The state with other sums: `wrong` takes `S = sum r k^T`, `A = lambda C + sum k k^T` and `lambda C`, and gives
    what `S` and `A` are to be."""
    histories = {
        layer: _history_of(*wrong(*_sums_of(history), update.evidence.layers[layer].penalty().to(history.solution)))
        for layer, history in after.history.items()
    }
    return replace(after, history=histories)


def _sums_of(history: History) -> tuple[Tensor, Tensor]:
    """`S` and `A` of a history."""
    folded, keys = history.total.factor @ history.total.factor.T, history.total.keys
    return history.solution @ folded + history.residuals @ keys.T, folded + keys @ keys.T


def _history_of(cross: Tensor, total: Tensor) -> History:
    factor = torch.linalg.cholesky(total)
    fresh = History.start(FactoredSum.start(factor, 1.0), len(cross))
    return replace(fresh, solution=torch.cholesky_solve(cross.T, factor).T)


class HistoryDoubled(D4S):
    """The keys of the history are counted once more at every call."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        return update, spoiled(update, after, lambda cross, total, penalty: (cross, 2 * total - penalty))


class ResidualsDoubled(CountsTwice):
    """The residuals of the history are counted once more at every call."""


class PenaltyInTheSum(D4S):
    """The penalty is added to the sum of keys, at every call."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        return update, spoiled(update, after, lambda cross, total, penalty: (cross, total + penalty))


class HistoryLost(D4S):
    """Every call starts the sums anew, on the weights of before the first one."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        return update, spoiled(update, after, lambda cross, _total, penalty: (0 * cross, penalty))


class HistoryKept(D4S):
    """The sums stay in the editor, so a session that was undone is still in the next one."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, self.kept = super().edit(model, facts, getattr(self, "kept", None))
        return update, self.kept


class BaseOfEachCall(D4S):
    """The whole history is laid on the weights that each call finds, not on those of before the first."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        if state is not None:
            state = replace(state, base={name: self._found(model, name) for name in state.base})
        return super().edit(model, facts, state)

    @staticmethod
    def _found(model: Any, name: str) -> Tensor:
        stored = model.parameter(name).detach().clone()
        return stored.T if model.is_transposed(name) else stored


@dataclass(frozen=True)
class Growing(D4SState):
    """A state with all keys of the session."""

    keys: tuple[Tensor, ...] = ()


class StateGrows(D4S):
    """The state keeps the keys of every call beside their sums."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        keys = [evidence.keys for evidence in update.evidence.layers.values()]
        parts = {name: getattr(after, name) for name in ("session", "base", "history", "penalty", "count")}
        return update, Growing(**parts, keys=(*getattr(state, "keys", ()), *keys))


class SumsInPlace(D4S):
    """The sums of the state that was passed in are changed in place."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        if state is None:
            return update, after
        for layer, history in state.history.items():
            now = after.history[layer]
            history.residuals.copy_(now.residuals)
            history.total.keys.copy_(now.total.keys)
        return update, after


class KeysNotKept(AlphaEdit):
    """The keys of earlier calls are forgotten."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        empty = {
            layer: FactoredSum.start(torch.eye(len(total.factor)).to(total.factor), after.l2)
            for layer, total in after.sums.items()
        }
        return update, replace(after, sums=empty)


class StaleOutputs(Patched, Memit):
    """Keys and residuals of all layers are those of the model before the first layer's change."""

    wrong = (("kedit.models.language_model.LanguageModel.swapped", with_its_own_weights),)
