# SPDX-License-Identifier: Apache-2.0
"""The three question types of D4S (section 3.2, table 1) about facts of a world."""

from __future__ import annotations

import random
from typing import get_args

from kedit.datasets.questions import QuestionType, multiple_choice, true_or_false
from kedit.facts import Fact
from kedit.worlds.relations import relation
from kedit.worlds.sampling import Sampler
from kedit.worlds.world import World, WorldError

__all__ = ["world_question_types"]


def world_question_types(world: World, n: int, seed: int, kind: QuestionType) -> list[Fact]:
    """`n` facts of `n` subjects as questions of one type. Equal `n` and `seed` give the same facts for all types.

    `DG` is the world's fact with its counterfactual object as target, and keeps its paraphrases and neighbors. `MQ`
    offers the counterfactual object, the true one and two more that the relation can have; the target is the letter of
    the first, `true` that of the second. `T/F` asks whether the counterfactual sentence is logical; the target is
    "yes".

    Raises:
        WorldError: unknown type, or the world has too few subjects.
    """
    if kind not in get_args(QuestionType):
        raise WorldError(f"question type {kind!r} is not known; take one of {', '.join(get_args(QuestionType))}")
    facts = Sampler(world).distinct(n, seed)
    if kind == "DG":
        return facts
    if kind == "T/F":
        return [true_or_false(fact, fact.target, "yes") for fact in facts]
    return [_choice(fact, seed) for fact in facts]


def _choice(fact: Fact, seed: int) -> Fact:
    rng = random.Random(f"kedit world questions {seed} {fact.id}")
    others = [value for value in relation(fact.relation).objects if value not in (fact.target, fact.true)]
    return multiple_choice(rng, fact, [fact.true, *rng.sample(others, 2)])
