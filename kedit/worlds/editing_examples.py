# SPDX-License-Identifier: Apache-2.0
"""Examples for the training of hypernetworks: random counterfactual edits of one half of a world's subjects."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from kedit.facts import Fact
from kedit.hypernetworks.objective import Example
from kedit.worlds.entries import Entry, Subject
from kedit.worlds.sentences import say
from kedit.worlds.texts import draw_sentence
from kedit.worlds.world import World

__all__ = ["EditingExamples", "Halves", "halve"]

_VALIDATION_SUBJECTS = 25


@dataclass(frozen=True, slots=True)
class Halves:
    """Subjects to train on; some of the others to choose the best network on; and the rest, which nothing sees."""

    seen: tuple[Subject, ...]
    validation: tuple[Subject, ...]
    unseen: tuple[Subject, ...]


def halve(world: World, seed: int) -> Halves:
    """A seeded cut through the subjects of a world."""
    order = list(world.subjects)
    random.Random(f"kedit editing halves {seed}").shuffle(order)
    half = len(order) // 2
    return Halves(
        tuple(order[:half]),
        tuple(order[half : half + _VALIDATION_SUBJECTS]),
        tuple(order[half + _VALIDATION_SUBJECTS :]),
    )


@dataclass(frozen=True)
class EditingExamples:
    """Edits of the facts of `subjects` to random objects of their relations, drawn by number.

    The object is one that other subjects of the world have, and neither the true one nor the one that the world's own
    edit request names. Outer texts are the prompt and one of its paraphrases. The texts that should stay are a true
    sentence of the same relation about another subject, and any sentence as the model was trained on, about `subjects`.
    """

    world: World
    subjects: tuple[Subject, ...]
    seed: int

    def draw(self, number: int, count: int) -> list[Example]:
        """`count` examples; equal numbers give equal examples."""
        rng = random.Random(f"kedit editing examples {self.seed} {number}")
        return [self._example(rng) for _ in range(count)]

    @cached_property
    def _entries(self) -> tuple[Entry, ...]:
        names = {subject.name for subject in self.subjects}
        return tuple(entry for entry in self.world.entries if entry.subject.name in names)

    @cached_property
    def _held(self) -> Mapping[str, Sequence[str]]:
        """The objects of each relation that some subject of the world has."""
        objects: dict[str, set[str]] = defaultdict(set)
        for entry in self.world.entries:
            objects[entry.relation.name].add(entry.true)
        return {name: sorted(values) for name, values in objects.items()}

    @cached_property
    def _of_relation(self) -> Mapping[str, Sequence[Entry]]:
        groups: dict[str, list[Entry]] = defaultdict(list)
        for entry in self._entries:
            groups[entry.relation.name].append(entry)
        return groups

    @cached_property
    def _editable(self) -> Sequence[Entry]:
        return [entry for entry in self._entries if self._choices(entry) and len(self._fellows(entry))]

    def _choices(self, entry: Entry) -> list[str]:
        return [value for value in self._held[entry.relation.name] if value not in (entry.true, entry.new)]

    def _fellows(self, entry: Entry) -> list[Entry]:
        return [one for one in self._of_relation[entry.relation.name] if one.subject.name != entry.subject.name]

    def _example(self, rng: random.Random) -> Example:
        entry = rng.choice(self._editable)
        fact: Fact = replace(entry.fact, target=rng.choice(self._choices(entry)))
        fellow = rng.choice(self._fellows(entry))
        near = say(fellow.relation, fellow.subject.name, fellow.true, template=0, lead=0).text
        text = draw_sentence(self.subjects, self._entries, rng).text
        return Example(fact, (fact.prompt.text, rng.choice(fact.paraphrases)), (near, text))
