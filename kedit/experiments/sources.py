# SPDX-License-Identifier: Apache-2.0
"""Where experiments draw their facts, questions and texts from: the tiny world, or files of one's own."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Sequence
from typing import Any, Literal, Protocol

from kedit.datasets import Dataset, Statistics, read_dataset
from kedit.datasets.choices import choices
from kedit.datasets.pairs import pairs
from kedit.datasets.questions import Question as QuestionType
from kedit.datasets.questions import multiple_choice, true_or_false
from kedit.datasets.sampling import Sampler, group
from kedit.experiments.experiment import ExperimentError
from kedit.facts import Fact
from kedit.metrics import Question
from kedit.worlds.pairs import world_pairs
from kedit.worlds.question_types import world_question_types
from kedit.worlds.question_types import questions
from kedit.worlds.sampling import Sampler as WorldSampler
from kedit.worlds.world import World

__all__ = ["FileSource", "Phrase", "Source", "WorldSource", "open_source"]

Phrase = Literal["subject-first", "relation-first"]
WORLD_SEED = 0  # the world that the tiny models know


class Source(Protocol):
    """Facts, questions and texts; equal arguments give equal draws.

    Attributes:
        name: for people.
        fingerprint: what a measured number depends on.
        sampler: draws of facts.
    """

    name: str
    fingerprint: str
    sampler: Sampler

    def pairs(self, n: int, seed: int, phrase: Phrase) -> tuple[list[Fact], list[Fact]]:
        """The same relations for one subject and for `n` (MEMIT-Merge, appendix A)."""
        ...

    def question_types(self, n: int, seed: int, kind: QuestionType) -> list[Fact]:
        """`n` facts asked in one of three ways (D4S, section 3.2)."""
        ...

    def questions(self, n: int, seed: int, exclude: Collection[str]) -> list[Question]:
        """Multiple choice over facts of subjects that are not in `exclude`."""
        ...

    def texts(self, n: int, seed: int) -> list[str]:
        """Texts that no edit is about, for perplexity."""
        ...

    def statistics(self) -> Statistics:
        """Counts, as in S2RKE's tables 1 and 2."""
        ...


class WorldSource:
    """The synthetic world that the tiny models were trained on."""

    def __init__(self, seed: int = WORLD_SEED) -> None:
        self._world = World.generate(seed)
        self.name = f"world {seed}"
        self.fingerprint = self.name
        self.sampler: Sampler = WorldSampler(self._world)

    def pairs(self, n: int, seed: int, phrase: Phrase) -> tuple[list[Fact], list[Fact]]:
        """The same relations for one celebrity and for `n` others."""
        return world_pairs(self._world, n, seed, phrase)

    def question_types(self, n: int, seed: int, kind: QuestionType) -> list[Fact]:
        """`n` facts of `n` subjects asked in one of three ways."""
        return world_question_types(self._world, n, seed, kind)

    def questions(self, n: int, seed: int, exclude: Collection[str]) -> list[Question]:
        """Multiple choice over facts of other subjects; fewer than `n` where not so many are left."""
        left = sum(len(self._world.facts_of(one)) for one in self._world.subjects if one.name not in exclude)
        return questions(self._world, min(n, left), seed, exclude)

    def texts(self, n: int, seed: int) -> list[str]:
        """True sentences, said in ways that training never used for their facts."""
        return self._world.held_out(n, seed)

    def statistics(self) -> Statistics:
        """Counts of the world."""
        return self._world.statistics()


class FileSource:
    """Facts from a data set's file, and texts from a text file, one a line."""

    def __init__(self, dataset: Dataset, texts: Sequence[str] = ()) -> None:
        """Facts whose prompt stands twice are used once.

        Raises:
            DatasetError: the data set has no facts.
        """
        self._dataset, self._texts = dataset, tuple(texts)
        self._facts = dataset.facts()
        groups, _ = group(self._facts)
        self.name = dataset.source
        self.sampler = Sampler(groups)
        joined = hashlib.sha256("\n".join(texts).encode()).hexdigest() if texts else ""
        self.fingerprint = f"{dataset.fingerprint} {joined}".strip()

    def pairs(self, n: int, seed: int, phrase: Phrase) -> tuple[list[Fact], list[Fact]]:
        """The same relations and objects for one subject and for `n` others, in the paper's two phrasings."""
        return pairs(self._facts, n, seed, phrase)

    def question_types(self, n: int, seed: int, kind: QuestionType) -> list[Fact]:
        """`n` facts of `n` subjects asked in one of three ways; other options are objects of the same relation."""
        facts = self.sampler.distinct(n, seed)
        if kind == "DG":
            return facts
        if kind == "T/F":
            return [true_or_false(fact, fact.target, "yes") for fact in facts]
        rng = random.Random(f"kedit question types {n} {seed}")
        return [multiple_choice(rng, fact, [fact.true, *self._others(rng, fact)]) for fact in facts]

    def _others(self, rng: random.Random, fact: Fact) -> list[str]:
        known = {one.true for one in self._facts if one.relation == fact.relation} - {fact.true, fact.target}
        if len(known) < 2:
            raise ExperimentError(
                f"{fact.label}: relation {fact.relation!r} has {len(known)} other objects in {self.name}, a choice of "
                "four needs two; give a file with more facts of it"
            )
        return rng.sample(sorted(known), 2)

    def questions(self, n: int, seed: int, exclude: Collection[str]) -> list[Question]:
        """Multiple choice over facts of other subjects, with objects of the same relation as options."""
        return choices(self._facts, n, seed, exclude)

    def texts(self, n: int, seed: int) -> list[str]:
        """Lines of the text file.

        Raises:
            ExperimentError: no texts were given, or fewer than `n`.
        """
        if len(self._texts) < n:
            raise ExperimentError(
                f"perplexity is measured on {n} texts and {len(self._texts)} were given; name a file with one text a "
                "line (--texts FILE)"
            )
        return random.Random(f"kedit texts {n} {seed}").sample(self._texts, n)

    def statistics(self) -> Statistics:
        """Counts of the data set."""
        return self._dataset.statistics()


def open_source(facts: str = "", texts: str = "", **options: Any) -> Source:
    """The tiny world if no file is named, else the data set of `facts` and the lines of `texts`.

    Raises:
        DatasetError: the file of facts cannot be read.
        ExperimentError: texts without facts, or texts that cannot be read.
    """
    if not facts:
        if texts:
            raise ExperimentError("texts go with facts of one's own; name those too (--facts FILE)")
        return WorldSource()
    return FileSource(read_dataset(facts, **options), _lines(texts) if texts else ())


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return [line.strip() for line in file if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{path}: cannot be read ({error}); give a text file in UTF-8, one text a line") from error
