# SPDX-License-Identifier: Apache-2.0
"""Seeded draws for experiments from any facts, grouped by subject."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import ClassVar, TypeVar

from kedit.datasets.errors import DatasetError
from kedit.facts import Fact

__all__ = ["S2RKE_REPEATS", "Sampler", "draw_without", "group"]

T = TypeVar("T")

S2RKE_REPEATS = 30  # draws of each experiment (S2RKE, section 4.2)


class Sampler:
    """Draws from groups of facts. Equal arguments give equal draws; different kinds of draws are independent.

    Attributes:
        groups: the facts of each subject.
        dense: the subjects that `same_subject` takes; all if None.
    """

    source: ClassVar[str] = "the data set"
    error: ClassVar[type[BaseException]] = DatasetError

    def __init__(self, groups: Mapping[str, Sequence[Fact]], dense: Collection[str] | None = None) -> None:
        """Take `groups` as they are; raises DatasetError for a `dense` subject that has no group."""
        self.groups = {subject: tuple(facts) for subject, facts in groups.items()}
        self.dense = None if dense is None else tuple(dense)
        for subject in self.dense or ():
            if subject not in self.groups:
                raise self.error(f"dense subject {subject!r} is not in {self.source}; name subjects that have facts")

    def distinct(self, n: int, seed: int) -> list[Fact]:
        """`n` facts of `n` different subjects; raises DatasetError when there are fewer subjects."""
        rng = _generator("distinct", n, seed)
        subjects = self._subjects(rng, n, per_subject=1)
        return [rng.choice(self.groups[subject]) for subject in subjects]

    def same_subject(self, n: int, seed: int) -> list[Fact]:
        """`n` facts of one subject, a dense one; raises DatasetError when none has that many."""
        rng = _generator("same subject", n, seed)
        (subject,) = self._subjects(rng, 1, per_subject=n, among=self.dense)
        return rng.sample(self.groups[subject], n)

    def density(self, total: int, per_subject: int, seed: int) -> list[Fact]:
        """`total` facts, `per_subject` of each subject; `total` must be a multiple of it (DatasetError)."""
        if per_subject < 1 or total % per_subject:
            raise self.error(f"total {total} is not a multiple of per_subject {per_subject}; change one of them")
        rng = _generator("density", total, per_subject, seed)
        facts: list[Fact] = []
        for subject in self._subjects(rng, total // per_subject, per_subject):
            facts += rng.sample(self.groups[subject], per_subject)
        return facts

    def rounds(self, subjects: int, rounds: int, seed: int) -> list[list[Fact]]:
        """`rounds` lists with one fact of each of `subjects` subjects; a subject's facts differ between rounds."""
        rng = _generator("rounds", subjects, rounds, seed)
        drawn = [
            rng.sample(self.groups[subject], rounds) for subject in self._subjects(rng, subjects, per_subject=rounds)
        ]
        return [[facts[turn] for facts in drawn] for turn in range(rounds)]

    def homogeneous(self, length: int, seed: int) -> tuple[list[Fact], list[Fact]]:
        """Two sequences of `length` facts that differ in the last one only (S2RKE, section 4.3).

        All facts before it are of different subjects. The last is another fact of the first one's subject in the
        homogeneous sequence, and a fact of one more subject in the heterogeneous one. With `length` 2 they are
        a pair of one subject and a pair of two (section 5.2).

        Returns:
            The homogeneous and the heterogeneous sequence.

        Raises:
            DatasetError: `length` is below 2, or there are too few subjects.
        """
        if length < 2:
            raise self.error(f"length {length} has no first and last fact; ask for at least 2")
        rng = _generator("homogeneous", length, seed)
        (subject,) = self._subjects(rng, 1, per_subject=2)
        first, last = rng.sample(self.groups[subject], 2)
        others = self._subjects(rng, length - 1, per_subject=1, among=[s for s in self.groups if s != subject])
        *middle, fresh = [rng.choice(self.groups[other]) for other in others]
        return [first, *middle, last], [first, *middle, fresh]

    def _subjects(self, rng: random.Random, n: int, per_subject: int, among: Sequence[str] | None = None) -> list[str]:
        pool = list(self.groups) if among is None else among
        fitting = [subject for subject in pool if len(self.groups[subject]) >= per_subject]
        if n < 1 or len(fitting) < n:
            raise self.error(
                f"cannot draw {n} subjects with at least {per_subject} facts each: {self.source} has {len(fitting)}, "
                f"{self._sizes(pool)}; ask for at least one and at most that many"
            )
        return rng.sample(fitting, n)

    def _sizes(self, pool: Sequence[str]) -> str:
        """How many subjects have how many facts, in words."""
        sizes = Counter(len(self.groups[subject]) for subject in pool)
        if not sizes:
            return "as there are no subjects at all"
        return "counted by facts " + ", ".join(f"{size}: {number}" for size, number in sorted(sizes.items()))


def group(facts: Iterable[Fact]) -> tuple[dict[str, list[Fact]], int]:
    """The facts of each subject, in their order, and how many were left out.

    Left out is a fact whose prompt an earlier one has: no batch can hold both.
    """
    groups: dict[str, list[Fact]] = {}
    seen: set[str] = set()
    left_out = 0
    for fact in facts:
        if fact.prompt.text in seen:
            left_out += 1
            continue
        seen.add(fact.prompt.text)
        groups.setdefault(fact.subject, []).append(fact)
    return groups, left_out


def draw_without(rng: random.Random, pool: Sequence[T], excluded: Collection[T], count: int) -> list[T]:
    """`count` of the pool's items, none of them excluded, or all that there are.

    Its cost does not grow with the pool. The pool has every item once.
    """
    drawn = rng.sample(pool, min(len(pool), count + len(excluded)))  # enough, whichever of them are excluded
    return [item for item in drawn if item not in excluded][:count]


def _generator(*parts: str | int) -> random.Random:
    return random.Random(" ".join(map(str, ("kedit sampler", *parts))))
