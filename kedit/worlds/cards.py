# SPDX-License-Identifier: Apache-2.0
"""The card of a trained tiny model: which seeds it comes from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from kedit.worlds.world import WorldError

__all__ = ["CARD", "Seeds", "seeds_of"]

CARD = "card.json"


@dataclass(frozen=True, slots=True)
class Seeds:
    """Seeds of a model: of its training, and of the world whose facts it knows."""

    training: int
    world: int


def seeds_of(folder: Path) -> Seeds | None:
    """The seeds in the card of a model folder, or None if it has no card.

    Raises:
        WorldError: a card that does not name them.
    """
    path = folder / CARD
    if not path.is_file():
        return None
    try:
        recipe = json.loads(path.read_text(encoding="utf-8"))["recipe"]
        return Seeds(int(recipe["seed"]), int(recipe["world_seed"]))
    except (ValueError, KeyError, TypeError) as error:
        raise WorldError(
            f"{path} does not name the seeds of its model ({type(error).__name__}: {error}); write the card again with "
            "python -m kedit.worlds train"
        ) from error
