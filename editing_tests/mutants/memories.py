# SPDX-License-Identifier: Apache-2.0
"""Edits that are kept beside the weights where they should not be, or that answer from a stale query."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from torch import Tensor

from editing_tests.mutants.patching import Wrapped
from editing_tests.mutants.updates import as_kind
from kedit.models.codebook import Codebook
from kedit.models.language_model import LanguageModel
from kedit.updates import Update


@dataclass(frozen=True)
class Handles:
    """A snapshot that takes hooks out."""

    removals: tuple[Callable[[], None], ...]

    def restore(self, _model: LanguageModel) -> None:
        for remove in self.removals:
            remove()


class Hooked(Update):
    """An update whose changes are added to the layers' outputs by hooks."""

    def apply(self, model: LanguageModel) -> Any:
        removals = []
        for layer in range(model.n_blocks):
            change = self.changes.get(model.weight_name(layer))
            if change is not None:
                delta = change.new_weight(model.weight(layer)) - model.weight(layer)
                removals.append(model.down_projection(layer).register_forward_hook(adding(delta)).remove)
        return Handles(tuple(removals))


def adding(delta: Tensor) -> Callable[..., Tensor]:
    """A hook that adds what `delta` `(d, f)` makes of the layer's input."""

    def add(_module: Any, args: tuple[Any, ...], output: Tensor) -> Tensor:
        return output + args[0] @ delta.T

    return add


class HooksInsteadOfWeights(Wrapped):
    """The edit is a hook on the model in memory, so a saved checkpoint lacks it."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        return as_kind(Hooked, update), after


class Stale(Codebook):
    """A codebook that answers single tokens with the entry that the last token of the latest longer pass asked for."""

    def attach(self, model: LanguageModel) -> Callable[[], None]:
        latest: list[Tensor] = []

        def answer(_module: Any, args: tuple[Any, ...], output: Tensor) -> Tensor:
            if args[0].shape[1] > 1:
                latest[:] = [self.answering(args[0][:, -1])]
                return self.output(args[0], output)
            hit = latest[0] >= 0
            changed = output.clone()
            changed[hit, 0] = self.values.to(output)[latest[0][hit]]
            return changed

        return model.down_projection(self.layer).register_forward_hook(answer).remove


class StaleQuery(Wrapped):
    """The answer to a prompt is given again at every token that is generated after it."""

    of = "grace"

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        return replace(
            update, memory=Stale(**{f.name: getattr(update.memory, f.name) for f in fields(Codebook)})
        ), after


class LatestEntryOnly(Wrapped):
    """Every edit puts a new codebook in the place of the old one, with its own entry."""

    of = "grace"

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        book, entry = update.memory, update.notes["entry"]
        parts: Mapping[str, Tensor] = {name: getattr(book, name)[[entry]] for name in ("keys", "values", "radii")}
        return replace(update, memory=replace(book, labels=(book.labels[entry],), **parts)), after


class ValueNotTrained(Wrapped):
    """The value of an entry stays as it started."""

    of = "grace"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"steps": 0} | settings)


class NormaliserMoves(Wrapped):
    """MEND's running statistics take in the facts that are edited."""

    of = "mend"

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        self.seen = getattr(self, "seen", 0) + len(facts)
        update, after = super().edit(model, facts, state)
        scale = 1 - 1 / (1000 + self.seen)
        changes = {name: replace(change, left=change.left * scale) for name, change in update.changes.items()}
        return replace(update, changes=changes), after


class RatesByOrder(Wrapped):
    """MEND's learnt rates go to the weights in the reverse order."""

    of = "mend"

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        from kedit.hypernetworks.storage import find, load
        from kedit.paths import fixtures_dir

        update, after = super().edit(model, facts, state)
        network = load(find(fixtures_dir() / "mend", model.origin), model)
        rates = [float(rate) for rate in network.rates()]
        turned = {
            name: replace(change, left=change.left * (other / rate))
            for (name, change), rate, other in zip(update.changes.items(), rates, reversed(rates), strict=True)
        }
        return replace(update, changes=turned), after


class GradientAdded(Wrapped):
    """The gradient is gone up, not down."""

    of = "mend"

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        return replace(update, changes={n: replace(c, left=-c.left) for n, c in update.changes.items()}), after
