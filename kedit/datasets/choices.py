# SPDX-License-Identifier: Apache-2.0
"""Multiple-choice questions about facts that are not edited, for what a model should still know after edits."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence

from kedit.datasets.errors import DatasetError
from kedit.facts import Fact
from kedit.metrics.multiple_choice import Question

__all__ = ["choices"]

_OPTIONS = 4


def choices(
    facts: Sequence[Fact],
    n: int,
    seed: int,
    exclude: Collection[str] = (),
    *,
    objects: Mapping[str, Sequence[str]] | None = None,
) -> list[Question]:
    """`n` questions about different facts: its prompt, and four objects of its relation with the true one among them.

    Equal arguments give equal questions.

    Args:
        facts: what can be asked.
        n: number of questions.
        seed: of the draw.
        exclude: subjects that nothing is asked about, such as those that were edited.
        objects: what each relation can have; the true objects of `facts` if left out.

    Raises:
        DatasetError: fewer than `n` facts are left whose relation has three other objects.
    """
    known = _objects_of(facts) if objects is None else objects
    left = [
        fact
        for fact in facts
        if fact.subject not in exclude and len({*known[fact.relation]} - {fact.true}) >= _OPTIONS - 1
    ]
    if not 1 <= n <= len(left):
        raise DatasetError(
            f"cannot ask {n} questions, {len(left)} facts are left whose relation has {_OPTIONS - 1} other objects; "
            "ask at least one and at most that many"
        )
    rng = random.Random(f"kedit questions {n} {seed}")
    return [_question(fact, known[fact.relation], rng) for fact in rng.sample(left, n)]


def _objects_of(facts: Sequence[Fact]) -> dict[str, list[str]]:
    """The true objects of each relation, in the order of the facts."""
    found: dict[str, dict[str, None]] = {}
    for fact in facts:
        found.setdefault(fact.relation, {})[fact.true] = None
    return {relation: list(values) for relation, values in found.items()}


def _question(fact: Fact, objects: Sequence[str], rng: random.Random) -> Question:
    options = [fact.true, *rng.sample([value for value in objects if value != fact.true], _OPTIONS - 1)]
    rng.shuffle(options)
    return Question(fact.prompt.text, tuple(options), options.index(fact.true))
