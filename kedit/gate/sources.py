# SPDX-License-Identifier: Apache-2.0
"""Where the facts of a property test come from: the tiny world, or facts of the real one that the model knows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol

from kedit.datasets import read_dataset
from kedit.datasets.common_knowledge import common_knowledge
from kedit.datasets.common_texts import common_texts
from kedit.datasets.errors import DatasetError
from kedit.datasets.sampling import Sampler, group
from kedit.facts import Fact
from kedit.gate.skipping import NotPossibleHere
from kedit.metrics.knowledge import known_facts
from kedit.models.language_model import LanguageModel
from kedit.worlds.sampling import Sampler as WorldSampler
from kedit.worlds.world import World

__all__ = ["RealFacts", "Source", "WorldFacts", "whole_facts"]


class Source(Protocol):
    """What property tests draw from."""

    @property
    def sampler(self) -> Sampler:
        """Draws of facts to edit."""

    @property
    def told(self) -> str:
        """What a reader of the report should know of the facts; may be empty."""

    def texts(self, n: int, seed: int) -> list[str]:
        """Texts that have nothing to do with the facts."""


class WorldFacts:
    """The facts of a tiny world."""

    told = ""

    def __init__(self, world: World) -> None:
        """Draw from `world`."""
        self._world = world
        self.sampler = WorldSampler(world)

    def texts(self, n: int, seed: int) -> list[str]:
        """Sentences that no tiny model was trained on."""
        return self._world.held_out(n, seed)


class AtHand(Sampler):
    """Draws that skip the test where there are too few facts, and say how many there are."""

    source: ClassVar[str] = "the set of facts that the model knows"
    error: ClassVar[type[BaseException]] = NotPossibleHere


class RealFacts:
    """Facts of the real world: of a file, or the built-in ones; only those that the model knows."""

    def __init__(self, model: LanguageModel, file: Path | None, *, all_of_them: bool = False) -> None:
        """Ask the model.

        Args:
            model: unedited.
            file: facts in any format that kedit reads; None for the built-in ones.
            all_of_them: do not ask, for models that know nothing.

        Raises:
            DatasetError: as `whole_facts`.
        """
        built_in = [fact for one in common_knowledge().values() for fact in one]
        facts, left_out = (built_in, 0) if file is None else whole_facts(file)
        asked = None if all_of_them else known_facts(model, facts)
        self.told = "not asked whether they are known" if asked is None else asked.summary
        if left_out:
            self.told += f", {left_out} without true object, paraphrases or neighbors left out"
        self.sampler: Sampler = AtHand(group(facts if asked is None else asked.known)[0])

    def texts(self, n: int, seed: int) -> list[str]:
        """Up to `n` of the built-in sentences."""
        texts = common_texts()
        return random.Random(f"kedit held-out texts {n} {seed}").sample(texts, min(n, len(texts)))


def whole_facts(file: Path) -> tuple[Sequence[Fact], int]:
    """The facts of a file that have all that properties ask for, and how many have not.

    Raises:
        DatasetError: the file cannot be read, or no fact has it all.
    """
    facts = read_dataset(file).facts()
    whole = [fact for fact in facts if fact.true and fact.paraphrases and fact.neighborhood]
    if not whole:
        raise DatasetError(
            f"{file}: none of {len(facts)} facts has a true object, paraphrases and neighbors; give a file of those"
        )
    return whole, len(facts) - len(whole)
