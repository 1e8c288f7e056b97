# SPDX-License-Identifier: Apache-2.0
"""Seeded draws of a world's facts: all with template 0, in which nothing stands before the subject."""

from __future__ import annotations

from typing import ClassVar

from kedit.datasets.errors import DatasetError
from kedit.datasets.sampling import Sampler as GroupSampler
from kedit.worlds.world import World, WorldError

__all__ = ["Sampler"]


class Sampler(GroupSampler):
    """Draws from one world; its celebrities are the dense subjects, and its errors are WorldErrors."""

    source: ClassVar[str] = "the world"
    error: ClassVar[type[DatasetError]] = WorldError

    def __init__(self, world: World) -> None:
        """Draw from `world`."""
        super().__init__(
            {subject.name: world.facts_of(subject) for subject in world.subjects},
            dense=[subject.name for subject in world.celebrities],
        )
        self.world = world
