# SPDX-License-Identifier: Apache-2.0
"""Where experiments draw their facts, questions and texts from: the tiny world, or files of one's own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from kedit.datasets.pairs import Phrase
from kedit.datasets.questions import QuestionType
from kedit.datasets.sampling import Sampler
from kedit.datasets.statistics import Statistics
from kedit.experiments.experiment import ExperimentError
from kedit.facts import Fact
from kedit.metrics import Question
from kedit.worlds.pairs import world_pairs
from kedit.worlds.question_types import world_question_types
from kedit.worlds.questions import questions
from kedit.worlds.sampling import Sampler as WorldSampler
from kedit.worlds.world import World

__all__ = ["Source", "WorldSource", "open_source"]

WORLD_SEED = 0  # the world that the tiny models know


class Source(Protocol):
    """Facts, questions and texts; equal arguments give equal draws.

    Attributes:
        name: for people.
        sampler: draws of facts.
    """

    name: str
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

    def specificity(self, fact: Fact) -> Sequence[tuple[str, str]]:
        """Prompts whose answers the edit of `fact` must leave alone, and these answers, where the source has such."""
        ...

    def statistics(self) -> Statistics:
        """Counts, as in S2RKE's tables 1 and 2."""
        ...


class WorldSource:
    """The synthetic world that the tiny models were trained on."""

    def __init__(self, seed: int = WORLD_SEED) -> None:
        self._world = World.generate(seed)
        self.name = f"world {seed}"
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

    def specificity(self, fact: Fact) -> Sequence[tuple[str, str]]:
        """None: its facts have neighborhood prompts."""
        return ()

    def statistics(self) -> Statistics:
        """Counts of the world."""
        return self._world.statistics()


def open_source(facts: str = "", texts: str = "") -> Source:
    """The tiny world if no file is named, else the data set of `facts` and the lines of `texts`.

    Raises:
        DatasetError: the file of facts cannot be read.
        ExperimentError: texts without facts, or texts that cannot be read.
    """
    if facts:
        from kedit.experiments.file_source import FileSource  # the world needs no readers

        return FileSource.of(facts, texts)
    if texts:
        raise ExperimentError("texts go with facts of one's own; name those too (--facts FILE)")
    return WorldSource()
