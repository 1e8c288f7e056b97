# SPDX-License-Identifier: Apache-2.0
"""One edit of a session: what is needed to undo it, and what its history tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from kedit.facts import Fact
from kedit.models.language_model import LanguageModel
from kedit.updates import Snapshot, Update

__all__ = ["Entry", "Step", "sizes_of"]


@dataclass(frozen=True)
class Entry:
    """A line of the history.

    Attributes:
        number: place in the session, from 1.
        facts: what was edited.
        editor, config, seed, notes: as the update tells.
        committed: it cannot be undone any more.
        sizes: changed parameter -> Frobenius norm of its change.
    """

    number: int
    facts: tuple[Fact, ...]
    editor: str
    config: Mapping[str, Any]
    seed: int
    notes: Mapping[str, Any]
    committed: bool
    sizes: Mapping[str, float]


@dataclass(frozen=True)
class Step:
    """An update that is applied.

    Attributes:
        update: without its evidence.
        sizes: as `Entry.sizes`.
        snapshot: what takes it back; None once it is committed.
        before: the editor's state before it; None once it is committed.
    """

    update: Update
    sizes: Mapping[str, float]
    snapshot: Snapshot | None
    before: Any

    def entry(self, number: int) -> Entry:
        """Its line of the history."""
        update = self.update
        return Entry(
            number=number,
            facts=update.facts,
            editor=update.editor,
            config=update.config,
            seed=update.seed,
            notes=update.notes,
            committed=self.snapshot is None,
            sizes=self.sizes,
        )


def sizes_of(model: LanguageModel, snapshot: Snapshot) -> dict[str, float]:
    """Parameter name -> Frobenius norm of its change since `snapshot`, summed in float64."""
    return {
        name: float(torch.linalg.vector_norm(model.parameter(name).detach().double() - stored.double()))
        for name, stored in snapshot.weights.items()
    }
