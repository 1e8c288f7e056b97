# SPDX-License-Identifier: Apache-2.0
"""Multiple-choice questions about facts of the world, for what a model should still know after edits."""

from __future__ import annotations

import random
from collections.abc import Collection

from kedit.metrics.multiple_choice import Question
from kedit.worlds.entries import Entry
from kedit.worlds.world import World, WorldError

__all__ = ["OPTIONS", "questions"]

OPTIONS = 4


def questions(world: World, n: int, seed: int, exclude: Collection[str] = ()) -> list[Question]:
    """`n` questions about different facts: template 0, and four objects of the relation with the true one among them.

    Equal arguments give equal questions.

    Args:
        world: whose facts are asked for.
        n: number of questions.
        seed: of the draw.
        exclude: names of subjects that nothing is asked about, such as those that were edited.

    Raises:
        WorldError: an excluded name that is no subject, or fewer than `n` facts are left.
    """
    unknown = set(exclude) - {subject.name for subject in world.subjects}
    if unknown:
        raise WorldError(f"no subject {min(unknown)!r} in this world; exclude names of its subjects")
    left = [entry for entry in world.entries if entry.subject.name not in exclude]
    if not 1 <= n <= len(left):
        raise WorldError(
            f"cannot ask {n} questions, {len(left)} facts are left; ask at least one and at most that many"
        )
    rng = random.Random(f"kedit questions {n} {seed}")
    return [_question(entry, rng) for entry in rng.sample(left, n)]


def _question(entry: Entry, rng: random.Random) -> Question:
    others = [value for value in entry.relation.objects if value != entry.true]
    options = [entry.true, *rng.sample(others, OPTIONS - 1)]
    rng.shuffle(options)
    return Question(entry.fact.prompt.text, tuple(options), options.index(entry.true))
