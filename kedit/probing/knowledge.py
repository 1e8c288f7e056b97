# SPDX-License-Identifier: Apache-2.0
"""Facts for a probe: where they come from, and which of them the model knows."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kedit import metrics
from kedit.datasets import read_dataset
from kedit.datasets.common_knowledge import COMMON_KNOWLEDGE, common_knowledge
from kedit.datasets.sampling import group
from kedit.facts import Fact, Prompt
from kedit.models.language_model import LanguageModel
from kedit.worlds.cards import seeds_of
from kedit.worlds.sampling import Sampler
from kedit.worlds.world import World

__all__ = ["FactPool", "fact_pool", "known_facts", "neutral_facts"]

# More candidates than this for each fact wanted are not asked.
CANDIDATES = 4

_NEUTRAL = (
    ("{} was born in", "Marie Curie", "Warsaw"),
    ("{} was born in", "Pierre Curie", "Paris"),
    ("{} is in the country of", "Mount Kilimanjaro", "Tanzania"),
    ("The capital of {} is", "North Korea", "Pyongyang"),
    ("The capital of {} is", "South Korea", "Seoul"),
    ("{} flows into the", "The Amazon", "Atlantic Ocean"),
    ("{} was published in", "On the Origin of Species", "1859"),
    ("In {}, people speak", "Brazil", "Portuguese"),
    ("{} is a town in", "Głogów", "Głogów County"),
    ("{}'s author is", "Don Quixote", "Miguel de Cervantes"),
    ("The mother tongue of {} is", "Victor Hugo", "French"),
    ("The mother tongue of {} is", "Howard Hugo", "English"),
)


@dataclass(frozen=True)
class FactPool:
    """Facts that a model may know: those of each subject, and where they come from."""

    source: str
    groups: Mapping[str, Sequence[Fact]]

    def drawn(self, n: int, seed: int) -> list[Fact]:
        """One fact of each of at most `n` subjects, in a seeded order."""
        rng = random.Random(f"kedit probe facts {seed}")
        subjects = rng.sample(list(self.groups), min(n, len(self.groups)))
        return [rng.choice(self.groups[subject]) for subject in subjects]


def fact_pool(folder: Path, facts: str | None) -> FactPool:
    """The facts of a file, else of the world on a model folder's card, else the built-in real ones.

    Raises:
        DatasetError: the file cannot be read.
        WorldError: the card is damaged.
    """
    if facts is not None:
        found = read_dataset(facts)
        groups, _ = group(fact for fact in found.facts() if fact.true.strip())
        return FactPool(found.source, groups)
    seeds = seeds_of(folder)
    if seeds is None:
        return FactPool(COMMON_KNOWLEDGE, common_knowledge())
    return FactPool(f"world {seeds.world}", Sampler(World.generate(seeds.world)).groups)


def known_facts(model: LanguageModel, pool: FactPool, n: int, seed: int) -> tuple[list[Fact], int]:
    """At most `n` facts of different subjects whose true object greedy decoding writes, and how many were asked."""
    asked = pool.drawn(CANDIDATES * n, seed)
    known: list[Fact] = []
    for start in range(0, len(asked), n):
        part = asked[start : start + n]
        known += metrics.known_facts(model, part).known
        if len(known) >= n:
            return known[:n], start + len(part)
    return known, len(asked)


def neutral_facts() -> list[Fact]:
    """Prompts with subjects and objects of several shapes, for checks that need no knowledge."""
    return [
        Fact(prompt=Prompt.from_template(template, subject), target=f"not {true}", true=true)
        for template, subject, true in _NEUTRAL
    ]
