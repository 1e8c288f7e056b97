# SPDX-License-Identifier: Apache-2.0
"""The interface that every editor has, ours and yours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from kedit.facts import Fact
from kedit.models.language_model import LanguageModel
from kedit.updates import Update

__all__ = ["Editor", "EditorError", "Tags"]


class EditorError(ValueError):
    """An editor that cannot be found, built or configured."""


@dataclass(frozen=True, kw_only=True)
class Tags:
    """What an editor is; tags select properties, they never move a threshold.

    Attributes:
        batch: edits many facts in one call.
        sequential: may be called again on the model that its earlier updates changed.
        writes_weights: its update changes parameters (rather than attaching a memory).
        keyed: its updates carry `Update.evidence` (keys and residuals per layer).
        grouped: facts with equal keys share one value; `Evidence.groups` says which.
        history: its state sums over all earlier calls, and every update rebuilds from the base.
        needs_statistics: it needs second moments of keys (a corpus).
        needs_training: it needs weights of its own that were trained for the model.
    """

    batch: bool = False
    sequential: bool = False
    writes_weights: bool = False
    keyed: bool = False
    grouped: bool = False
    history: bool = False
    needs_statistics: bool = False
    needs_training: bool = False


@runtime_checkable
class Editor(Protocol):
    """A pure function of model, facts and its own state."""

    name: str
    tags: Tags

    def edit(self, model: LanguageModel, facts: Sequence[Fact], state: Any = None) -> tuple[Update, Any]:
        """Compute an update for `facts`; the model is bit for bit as before.

        Args:
            model: the model as it is now; after earlier calls, with their updates applied.
            facts: the batch; one fact for editors without the tag `batch`.
            state: None at the start of a session, then what the previous call returned.

        Returns:
            The update (applied by the caller) and the state for the next call.

        Raises:
            FactError: a fact cannot be edited as asked.
        """
        ...
