# SPDX-License-Identifier: Apache-2.0
"""Facts from a data set's file and texts from a text file."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from pathlib import Path

from kedit.datasets import Dataset, read_dataset
from kedit.datasets.choices import choices
from kedit.datasets.pairs import Phrase, pairs
from kedit.datasets.questions import QuestionType, multiple_choice, true_or_false
from kedit.datasets.sampling import Sampler, group
from kedit.datasets.statistics import Statistics, counted, measure
from kedit.experiments.experiment import ExperimentError
from kedit.facts import Fact
from kedit.metrics import Question

__all__ = ["FileSource"]


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
        self._specificity = {
            record.fact: tuple((probe.prompt, probe.answer) for probe in record.specificity)
            for record in dataset.records
        }
        self.sampler = Sampler(groups)

    @classmethod
    def of(cls, facts: str, texts: str = "") -> FileSource:
        """The data set in the file `facts` and the lines of the file `texts`.

        Raises:
            DatasetError: the data set cannot be read.
            ExperimentError: the texts cannot be read.
        """
        return cls(read_dataset(facts), _lines(Path(texts)) if texts else ())

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

    def specificity(self, fact: Fact) -> Sequence[tuple[str, str]]:
        """The questions that the fact's record has of its own."""
        return self._specificity.get(fact, ())

    def statistics(self) -> Statistics:
        """Counts of the data set."""
        return measure(counted(self._dataset))


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ExperimentError(
            f"{path}: cannot be read ({error}); give a text file in UTF-8, one text a line"
        ) from error
    return [line.strip() for line in text.splitlines() if line.strip()]
