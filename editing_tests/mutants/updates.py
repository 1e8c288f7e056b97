# SPDX-License-Identifier: Apache-2.0
"""Updates that do not say what they do, and undo that leaves something."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from editing_tests.mutants.patching import Wrapped
from kedit.models.language_model import LanguageModel
from kedit.updates import Replaced, Snapshot, Update


class OnlyTheFirst(Wrapped):
    """Of a batch only the first fact is edited, and all are reported."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts[:1], state)
        return replace(update, facts=tuple(facts)), after


class OneOfALongBatch(Wrapped):
    """A batch is cut after sixteen facts, and all are reported."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts[:16], state)
        return replace(update, facts=tuple(facts)), after


class NamesTheFirst(Wrapped):
    """All facts are edited, and the first one only is reported."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        return replace(update, facts=tuple(facts[:1])), after


class RestoredAsEdited(Wrapped):
    """The model is edited and restored, and what comes back is made from the restored weights."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        held = {name: model.weight(layer) for layer in range(model.n_blocks) for name in [model.weight_name(layer)]}
        return replace(update, changes={name: Replaced(held[name].float()) for name in update.changes}), after


@dataclass(frozen=True)
class Differences:
    """A snapshot that keeps what was added, in bfloat16, and subtracts it."""

    added: dict[str, Tensor]

    def restore(self, model: LanguageModel) -> None:
        with torch.no_grad():
            for name, delta in self.added.items():
                model.parameter(name).sub_(delta.to(model.parameter(name)))


class SubtractedAgain(Update):
    """An update that is undone by subtraction."""

    def apply(self, model: LanguageModel) -> Any:
        before = super().apply(model).weights
        return Differences({name: (model.parameter(name).detach() - old).bfloat16() for name, old in before.items()})


class OneRestored(Update):
    """An update whose snapshot holds the first of its weights."""

    def apply(self, model: LanguageModel) -> Snapshot:
        whole = super().apply(model)
        return replace(whole, weights=dict(list(whole.weights.items())[:1]))


class TouchesANorm(Update):
    """An update that scales the final norm, too."""

    def apply(self, model: LanguageModel) -> Snapshot:
        snapshot = super().apply(model)
        with torch.no_grad():
            model.final_norm.weight.mul_(1.001)
        return snapshot


def as_kind(kind: type[Update], update: Update) -> Update:
    """The same update, as another class."""
    return kind(**{field.name: getattr(update, field.name) for field in fields(Update)})


class UndoBySubtraction(Wrapped):
    """Undo subtracts what was added, which does not give the same bits."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        return as_kind(SubtractedAgain, update), after


class OneWeightRestored(Wrapped):
    """Undo restores the first of the changed weights."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        return as_kind(OneRestored, update), after


class UndeclaredWeight(Wrapped):
    """Applying changes a norm that the update does not declare."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        return as_kind(TouchesANorm, update), after
