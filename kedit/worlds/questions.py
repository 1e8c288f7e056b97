# SPDX-License-Identifier: Apache-2.0
"""Multiple-choice questions about facts of the world, for what a model should still know after edits."""

from __future__ import annotations

from collections.abc import Collection

from kedit.datasets.choices import choices
from kedit.datasets.errors import DatasetError
from kedit.metrics.multiple_choice import Question
from kedit.worlds.relations import relations
from kedit.worlds.world import World, WorldError

__all__ = ["questions"]


def questions(world: World, n: int, seed: int, exclude: Collection[str] = ()) -> list[Question]:
    """`n` questions about different facts, as `choices` makes them: template 0 and the relation's own objects.

    Raises:
        WorldError: an excluded name that is no subject, or fewer than `n` facts are left.
    """
    unknown = set(exclude) - {subject.name for subject in world.subjects}
    if unknown:
        raise WorldError(f"no subject {min(unknown)!r} in this world; exclude names of its subjects")
    try:
        return choices(world.facts(), n, seed, exclude, objects={one.name: one.objects for one in relations()})
    except DatasetError as error:
        raise WorldError(str(error)) from error
