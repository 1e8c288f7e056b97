# SPDX-License-Identifier: Apache-2.0
"""What the property tests measure, with the numbers of draws; shared between the tests that judge it.

Draw `i` of a run with seed `s` uses the sampler's seed `1000 s + i`.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from kedit.facts import Fact
from kedit.gate.behaviour import essence_drift
from kedit.gate.bench import Gate
from kedit.gate.protocols import (
    Mean,
    Standing,
    Trace,
    edited,
    fate_of_first,
    key_points,
    mean_scores,
    mean_with_error,
    standing,
    trace,
)
from kedit.metrics import Evaluation, evaluate, model_perplexity
from kedit.models.language_model import LanguageModel
from kedit.updates import Update

__all__ = [
    "Batches",
    "Gap",
    "Locality",
    "density_scores",
    "distinct_batches",
    "distinct_sequence",
    "homogeneous_gaps",
    "inverse_edits",
    "locality",
    "paired_batches",
    "repeated_edit",
    "returning_sequence",
    "same_subject_batches",
    "single_edits",
    "single_update",
]

SINGLE_EDITS = 16
BATCH_DRAWS = 3
BATCH_FACTS = 30
# Many pairs, because two facts take nearly always and the bound is near to that; from four facts on it is far below.
SAME_SUBJECT_DRAWS: Mapping[int, int] = {2: 40, 4: 4, 8: 3, 12: 3}
DENSITY_DRAWS = 2
PAIRED_TRIALS = 6
# Where the first of several edits is looked at: right after its own, after one more, and at the end, which is judged.
FIRST_EDIT_LENGTHS = (1, 2, 8)
SEQUENCE_EDITS = 200
SEQUENCE_CHECKPOINTS = (50, 100, 200)
RETURNING_SUBJECTS = 40
ROUNDS = 3
REPEATS = 20
INVERSE_EDITS = 4
HELD_OUT_TEXTS = 100


def draw_seed(gate: Gate, draw: int) -> int:
    """The sampler's seed of one draw."""
    return 1000 * gate.seed + draw


@dataclass(frozen=True, slots=True)
class Batches:
    """Batches of distinct subjects: the scores, and each edited model's perplexity of the held-out texts."""

    scores: Mapping[str, Mean]
    perplexity: float


def distinct_batches(gate: Gate) -> Batches:
    """Three batches of thirty facts of distinct subjects."""

    def measure() -> Batches:
        perplexities: list[float] = []

        def look(model: LanguageModel, _update: Update, _found: Evaluation) -> None:
            perplexities.append(_perplexity(gate, model))

        draws = [gate.facts.distinct(BATCH_FACTS, draw_seed(gate, draw)) for draw in range(BATCH_DRAWS)]
        scores = mean_scores(gate.editor, gate.base, draws, full=True, look=look)
        return Batches(scores, statistics.fmean(perplexities))

    return gate.shared("distinct batches", measure)


@dataclass(frozen=True, slots=True)
class Singles:
    """Single edits, each into a fresh copy: their evaluations, how far the essence of their subjects drifted (nats),
    and the mean perplexity of the held-out texts."""

    found: tuple[Evaluation, ...]
    drift: Mean
    perplexity: float


def single_edits(gate: Gate) -> Singles:
    """Sixteen single edits of distinct subjects."""

    def measure() -> Singles:
        found: list[Evaluation] = []
        drifts: list[float] = []
        perplexities: list[float] = []
        for fact in gate.facts.distinct(SINGLE_EDITS, draw_seed(gate, 0)):
            model, _ = edited(gate.editor, gate.base, [fact])
            found.append(evaluate(model, [fact]))
            drifts.append(essence_drift(gate.base, model, fact))
            if len(perplexities) < BATCH_DRAWS:
                perplexities.append(_perplexity(gate, model))
        return Singles(tuple(found), mean_with_error(drifts), statistics.fmean(perplexities))

    return gate.shared("single edits", measure)


@dataclass(frozen=True, slots=True)
class Locality:
    """Neighborhood score and held-out perplexity, edited and unedited."""

    neighbors: float
    neighbors_before: float
    perplexity: float
    perplexity_before: float


def locality(gate: Gate) -> Locality:
    """After batches of thirty if the editor takes batches, else after single edits."""
    if gate.tags.batch:
        after = distinct_batches(gate)
        neighbors, perplexity = after.scores["NS"].value, after.perplexity
    else:
        singles = single_edits(gate)
        neighbors, perplexity = statistics.fmean(one.ns for one in singles.found), singles.perplexity
    facts = gate.facts.distinct(BATCH_FACTS, draw_seed(gate, 0))
    return Locality(
        neighbors,
        gate.baseline("neighbors", lambda: evaluate(gate.base, facts, paraphrases=False).ns),
        perplexity,
        gate.baseline("perplexity", lambda: _perplexity(gate, gate.base)),
    )


@dataclass(frozen=True, slots=True)
class SmallBatches:
    """Small batches: their scores, and the `key_points` of their facts."""

    scores: Mapping[str, Mean]
    points: tuple[tuple[float, float], ...]


def same_subject_batches(gate: Gate, facts: int) -> tuple[Mapping[str, Mean], Mapping[str, Mean]]:
    """Scores of batches of `facts` facts: of one subject, and of as many distinct subjects."""
    same, distinct = paired_batches(gate, facts)
    return same.scores, distinct.scores


def paired_batches(gate: Gate, facts: int) -> tuple[SmallBatches, SmallBatches]:
    """Batches of `facts` facts of one subject, and of as many distinct subjects."""

    def measure(draws: Sequence[list[Fact]]) -> SmallBatches:
        points: list[tuple[float, float]] = []

        def look(_model: LanguageModel, update: Update, found: Evaluation) -> None:
            points.extend(key_points(update, found))

        return SmallBatches(mean_scores(gate.editor, gate.base, draws, look=look), tuple(points))

    seeds = [draw_seed(gate, draw) for draw in range(SAME_SUBJECT_DRAWS[facts])]
    same = [gate.facts.same_subject(facts, seed) for seed in seeds]
    distinct = [gate.facts.distinct(facts, seed) for seed in seeds]
    return (
        gate.shared(("same subject", facts), lambda: measure(same)),
        gate.shared(("distinct subjects", facts), lambda: measure(distinct)),
    )


def density_scores(gate: Gate, per_subject: int) -> Mapping[str, Mean]:
    """Scores of batches of thirty facts, `per_subject` of each subject."""
    if per_subject == 1:
        return distinct_batches(gate).scores
    draws = [gate.facts.density(BATCH_FACTS, per_subject, draw_seed(gate, draw)) for draw in range(DENSITY_DRAWS)]
    return gate.shared(("density", per_subject), lambda: mean_scores(gate.editor, gate.base, draws, full=True))


@dataclass(frozen=True, slots=True)
class Gap:
    """The first edit after others on its subject, after others on distinct subjects, and the paired difference."""

    same: Mean
    distinct: Mean
    gap: Mean

    def __str__(self) -> str:
        return f"one subject {self.same}, distinct subjects {self.distinct}, difference {self.gap}"


def homogeneous_gaps(gate: Gate, edits: int) -> dict[str, Gap]:
    """Fate of the first of `edits` single edits, one of `FIRST_EDIT_LENGTHS`, as exact match and as probability."""
    longest = max(FIRST_EDIT_LENGTHS)

    def trial(number: int) -> dict[str, dict[int, Standing]]:
        seed = draw_seed(gate, number)
        first, *same = gate.facts.same_subject(longest, seed)
        others = [fact for fact in gate.facts.distinct(longest, seed) if fact.subject != first.subject]
        tails = {"same": same, "distinct": others[: longest - 1]}
        return fate_of_first(gate.editor, gate.base, first, tails, FIRST_EDIT_LENGTHS)

    fates = [gate.shared(("fate of first", n), partial(trial, n)) for n in range(PAIRED_TRIALS)]
    pairs = [(fate["same"][edits], fate["distinct"][edits]) for fate in fates]
    return {
        "exact_match": _gap([(float(same.exact), float(distinct.exact)) for same, distinct in pairs]),
        "probability": _gap([(same.probability, distinct.probability) for same, distinct in pairs]),
    }


def _gap(pairs: Sequence[tuple[float, float]]) -> Gap:
    same, distinct = zip(*pairs, strict=True)
    return Gap(mean_with_error(same), mean_with_error(distinct), mean_with_error([a - b for a, b in pairs]))


def distinct_sequence(gate: Gate) -> Trace:
    """Two hundred single edits on distinct subjects."""
    facts = gate.facts.distinct(SEQUENCE_EDITS, draw_seed(gate, 0))
    return gate.shared(
        "distinct sequence", lambda: trace(gate.editor, gate.base, facts, checkpoints=SEQUENCE_CHECKPOINTS)
    )


def returning_sequence(gate: Gate) -> Trace:
    """One fact of each of forty subjects, then another one of each, then a third."""
    facts = [fact for turn in gate.facts.rounds(RETURNING_SUBJECTS, ROUNDS, draw_seed(gate, 0)) for fact in turn]
    return gate.shared(
        "returning subjects", lambda: trace(gate.editor, gate.base, facts, checkpoints=(len(facts),), neighbors=True)
    )


def repeated_edit(gate: Gate) -> Trace:
    """One fact, edited twenty times."""
    (fact,) = gate.facts.distinct(1, draw_seed(gate, 0))
    return gate.shared(
        "repeated edit",
        lambda: trace(gate.editor, gate.base, [fact] * REPEATS, checkpoints=(REPEATS // 2, REPEATS)),
    )


def inverse_edits(gate: Gate) -> Mean:
    """Probability of the true object (geometric mean over its tokens) at the end, over four facts, each edited into a
    fresh copy and back to its true object, and both once more, in one session."""
    found = []
    for fact in gate.facts.distinct(INVERSE_EDITS, draw_seed(gate, 0)):
        back = dataclasses.replace(fact, target=fact.true, true=fact.target)
        model, state = gate.base.twin(), None
        for one in (fact, back, fact, back):
            update, state = gate.editor.edit(model, [one], state)
            update.apply(model)
        found.append(standing(model, back).probability)
    return mean_with_error(found)


def single_update(gate: Gate) -> tuple[Fact, Update]:
    """One fact and its update on the unedited model: what edits of it under other circumstances are compared with."""
    (fact,) = gate.facts.distinct(1, draw_seed(gate, 0))
    return fact, gate.shared("single update", lambda: gate.editor.edit(gate.model, [fact])[0])


def _perplexity(gate: Gate, model: LanguageModel) -> float:
    return model_perplexity(model, gate.texts(HELD_OUT_TEXTS, draw_seed(gate, 0)))
