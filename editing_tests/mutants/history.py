# SPDX-License-Identifier: Apache-2.0
"""Sums over a session that are doubled, lost, kept too long or changed in place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from editing_tests.mutants.patching import Patched
from editing_tests.references.counts_twice import CountsTwice
from kedit.editors.alphaedit import AlphaEdit
from kedit.editors.d4s import D4S, D4SState
from kedit.editors.memit import Memit


def with_its_own_weights(right: Any, model: Any, _weights: Any) -> Any:
    return right(model, {})


class HistoryDoubled(D4S):
    """The keys of the history are counted once more at every call."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        return update, replace(after, gram={layer: 2 * gram for layer, gram in after.gram.items()})


class ResidualsDoubled(CountsTwice):
    """The residuals of the history are counted once more at every call."""


class PenaltyInTheSum(D4S):
    """The penalty is added to the sum of keys, at every call."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        penalty = {layer: evidence.penalty for layer, evidence in update.evidence.layers.items()}
        return update, replace(after, gram={layer: gram + penalty[layer] for layer, gram in after.gram.items()})


class HistoryLost(D4S):
    """Every call starts the sums anew, on the weights of before the first one."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        empty = {layer: torch.zeros_like(cross) for layer, cross in after.cross.items()}
        return update, replace(after, cross=empty, gram={k: torch.zeros_like(gram) for k, gram in after.gram.items()})


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
        parts = {name: getattr(after, name) for name in ("session", "base", "cross", "gram", "count")}
        return update, Growing(**parts, keys=(*getattr(state, "keys", ()), *keys))


class SumsInPlace(D4S):
    """The sums of the state that was passed in are changed in place."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        if state is None:
            return update, after
        for name in ("cross", "gram"):
            for layer, total in getattr(state, name).items():
                total.copy_(getattr(after, name)[layer])
        return update, replace(state, count=after.count)


class KeysNotKept(AlphaEdit):
    """The keys of earlier calls are forgotten."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        return update, replace(after, gram={layer: torch.zeros_like(gram) for layer, gram in after.gram.items()})


class StaleOutputs(Patched, Memit):
    """Keys and residuals of all layers are those of the model before the first layer's change."""

    wrong = (("kedit.models.language_model.LanguageModel.swapped", with_its_own_weights),)
