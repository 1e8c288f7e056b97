# SPDX-License-Identifier: Apache-2.0
"""Seeded draws of facts for experiments: all with template 0, in which nothing stands before the subject."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from kedit.facts import Fact
from kedit.worlds.entries import Subject
from kedit.worlds.world import World, WorldError


@dataclass(frozen=True, slots=True)
class Sampler:
    """Draws from one world. Equal arguments give equal draws; different kinds of draws are independent."""

    world: World

    def distinct(self, n: int, seed: int) -> list[Fact]:
        """`n` facts of `n` different subjects; raises WorldError when the world has fewer subjects."""
        rng = _generator("distinct", n, seed)
        subjects = self._subjects(rng, n, per_subject=1)
        return [rng.choice(self.world.facts_of(subject)) for subject in subjects]

    def same_subject(self, n: int, seed: int) -> list[Fact]:
        """`n` facts of one celebrity; raises WorldError when no celebrity has that many."""
        rng = _generator("same subject", n, seed)
        (subject,) = self._subjects(rng, 1, per_subject=n, among=self.world.celebrities)
        return rng.sample(self.world.facts_of(subject), n)

    def density(self, total: int, per_subject: int, seed: int) -> list[Fact]:
        """`total` facts, `per_subject` of each subject; `total` must be a multiple of it (WorldError)."""
        if per_subject < 1 or total % per_subject:
            raise WorldError(f"total {total} is not a multiple of per_subject {per_subject}; change one of them")
        rng = _generator("density", total, per_subject, seed)
        facts: list[Fact] = []
        for subject in self._subjects(rng, total // per_subject, per_subject):
            facts += rng.sample(self.world.facts_of(subject), per_subject)
        return facts

    def rounds(self, subjects: int, rounds: int, seed: int) -> list[list[Fact]]:
        """`rounds` lists with one fact of each of `subjects` subjects; a subject's facts differ between rounds."""
        rng = _generator("rounds", subjects, rounds, seed)
        drawn = [
            rng.sample(self.world.facts_of(subject), rounds)
            for subject in self._subjects(rng, subjects, per_subject=rounds)
        ]
        return [[facts[turn] for facts in drawn] for turn in range(rounds)]

    def _subjects(
        self, rng: random.Random, n: int, per_subject: int, among: Sequence[Subject] | None = None
    ) -> list[Subject]:
        pool = self.world.subjects if among is None else among
        fitting = [subject for subject in pool if len(self.world.facts_of(subject)) >= per_subject]
        if n < 1 or len(fitting) < n:
            raise WorldError(
                f"cannot draw {n} subjects with at least {per_subject} facts each: the world has {len(fitting)}; ask "
                "for at least one and at most that many"
            )
        return rng.sample(fitting, n)


def _generator(*parts: str | int) -> random.Random:
    return random.Random(" ".join(map(str, ("kedit sampler", *parts))))
