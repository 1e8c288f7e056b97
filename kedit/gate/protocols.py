# SPDX-License-Identifier: Apache-2.0
"""The measurements behind the properties: batches, sequences, and means over draws.

Each works on copies of the unedited model and returns plain numbers, so that tests can share them.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from kedit.editors.base import Editor
from kedit.facts import Fact
from kedit.metrics import Evaluation, MetricError, evaluate, nearest_cosines, relative_change
from kedit.models.language_model import LanguageModel
from kedit.updates import Update

__all__ = [
    "Mean",
    "Standing",
    "Trace",
    "edited",
    "fate_of_first",
    "key_points",
    "mean_scores",
    "mean_with_error",
    "relative_changes",
    "standing",
    "trace",
]


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over `n` trials with its standard error (0 for one trial)."""

    value: float
    error: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.error:.3f} (n = {self.n})"

    def as_data(self) -> dict[str, float]:
        """Plain data, for a series of the report."""
        return {"mean": self.value, "error": self.error, "n": self.n}


def mean_with_error(values: Sequence[float]) -> Mean:
    """Mean and standard error.

    Raises:
        statistics.StatisticsError: no values.
    """
    n = len(values)
    error = statistics.stdev(values) / math.sqrt(n) if n > 1 else 0.0
    return Mean(statistics.fmean(values), error, n)


def edited(editor: Editor, base: LanguageModel, facts: Sequence[Fact]) -> tuple[LanguageModel, Update]:
    """A copy of `base` that was edited with one call, and the update that did it."""
    model = base.twin()
    update, _ = editor.edit(model, facts)
    update.apply(model)
    return model, update


def mean_scores(
    editor: Editor,
    base: LanguageModel,
    draws: Sequence[Sequence[Fact]],
    *,
    full: bool = False,
    look: Callable[[LanguageModel, Update, Evaluation], object] | None = None,
) -> dict[str, Mean]:
    """Metrics after one call a draw, as means over draws.

    Args:
        editor: the editor under test.
        base: the unedited model.
        draws: batches; each is edited into a fresh copy.
        full: also the metrics that need paraphrases and neighbors.
        look: called with every edited model, its update and its evaluation.

    Returns:
        exact_match and ES; with `full` also PS, NS and S.
    """
    found: list[Evaluation] = []
    for facts in draws:
        model, update = edited(editor, base, facts)
        found.append(evaluate(model, facts, paraphrases=full, neighborhood=full))
        if look is not None:
            look(model, update, found[-1])
    result = {"exact_match": [one.em for one in found], "ES": [one.es for one in found]}
    if full:
        result |= {"PS": [one.ps for one in found], "NS": [one.ns for one in found], "S": [one.s for one in found]}
    return {name: mean_with_error(values) for name, values in result.items()}


def key_points(update: Update, found: Evaluation) -> list[tuple[float, float]]:
    """Of each fact of a batch: the cosine of its key with the nearest other one at the first edited layer, and the
    probability of its new object; empty if the update shows no key for each fact."""
    layers = update.evidence.layers if update.evidence is not None else {}
    keys = layers[min(layers)].keys if layers else None
    if keys is None or keys.ndim != 2 or keys.shape[1] != found.n:
        return []
    try:
        cosines = nearest_cosines(keys).tolist()
    except MetricError:  # a figure is no place to judge keys
        return []
    return [(cosine, one.probability) for cosine, one in zip(cosines, found.facts, strict=True)]


@dataclass(frozen=True, slots=True)
class Trace:
    """One sequence of single edits.

    Attributes:
        after_each: exact match of every fact right after its own edit.
        after_all: exact match of every fact after the last edit.
        neighbors: NS over all facts after the last edit; None if it was not asked for.
        changes: edits made so far -> name of the weight -> its change relative to the unedited one; a memory counts
            with the numbers it holds, relative to those of the model.
        known: edits made so far -> exact match over the facts of all of them.
    """

    after_each: tuple[bool, ...]
    after_all: tuple[bool, ...]
    neighbors: float | None
    changes: Mapping[int, Mapping[str, float]]
    known: Mapping[int, float]


def trace(
    editor: Editor,
    base: LanguageModel,
    facts: Sequence[Fact],
    *,
    checkpoints: Sequence[int],
    neighbors: bool = False,
) -> Trace:
    """Edit `facts` one after the other into one copy of the model.

    Args:
        editor: an editor with the tag `sequential`.
        base: the unedited model.
        facts: in the order of editing.
        checkpoints: numbers of edits after which the change of the weights and what is known are measured.
        neighbors: also measure NS.
    """
    model = base.twin()
    state = None
    after_each: list[bool] = []
    changes: dict[int, Mapping[str, float]] = {}
    known: dict[int, float] = {}
    touched: set[str] = set()
    for count, fact in enumerate(facts, 1):
        update, state = editor.edit(model, [fact], state)
        update.apply(model)
        touched |= set(update.changes)
        after_each.append(standing(model, fact).exact)
        if count in checkpoints:
            changes[count] = relative_changes(model, base, touched) | relative_memory(model)
            known[count] = evaluate(model, facts[:count], paraphrases=False, neighborhood=False).em
    final = evaluate(model, facts, paraphrases=False, neighborhood=neighbors)
    found = final.ns if neighbors else None
    return Trace(tuple(after_each), tuple(one.exact for one in final.facts), found, changes, known)


def relative_changes(model: LanguageModel, base: LanguageModel, names: set[str]) -> dict[str, float]:
    """Frobenius norm of the change of each named parameter over that of the unedited parameter."""
    now, before = dict(model.module.named_parameters()), dict(base.module.named_parameters())
    return {name: relative_change(now[name], before[name]) for name in sorted(names)}


def relative_memory(model: LanguageModel) -> dict[str, float]:
    """Numbers in the model's memory over numbers in its parameters; empty without a memory."""
    if model.memory is None:
        return {}
    held = sum(tensor.numel() for tensor in model.memory.tensors.values())
    return {"memory": held / sum(parameter.numel() for parameter in model.module.parameters())}


@dataclass(frozen=True, slots=True)
class Standing:
    """How well a model knows one new object: exact match, and its probability (geometric mean over its tokens)."""

    exact: bool
    probability: float


def fate_of_first(
    editor: Editor, base: LanguageModel, first: Fact, tails: Mapping[str, Sequence[Fact]], lengths: Collection[int]
) -> dict[str, dict[int, Standing]]:
    """Whether the first of several single edits survives the others.

    Args:
        editor: an editor with the tag `sequential`.
        base: the unedited model.
        first: edited once and shared by all tails.
        tails: name -> facts edited after it, one after the other.
        lengths: numbers of edits after which to look; 1 is right after its own.

    Returns:
        name -> number of edits so far -> how `first` stands.
    """
    start = base.twin()
    update, opened = editor.edit(start, [first])
    update.apply(start)
    alone = standing(start, first) if 1 in lengths else None
    fates: dict[str, dict[int, Standing]] = {}
    for name, facts in tails.items():
        model, state = start.twin(), opened
        fates[name] = {1: alone} if alone is not None else {}
        for count, fact in enumerate(facts, 2):
            update, state = editor.edit(model, [fact], state)
            update.apply(model)
            if count in lengths:
                fates[name][count] = standing(model, first)
    return fates


def standing(model: LanguageModel, fact: Fact) -> Standing:
    """How well the model knows the new object of `fact` on its rewrite prompt."""
    found = evaluate(model, [fact], paraphrases=False, neighborhood=False).facts[0]
    return Standing(found.exact, found.probability)
