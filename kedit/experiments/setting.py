# SPDX-License-Identifier: Apache-2.0
"""What a protocol is given: a model, an editor, facts to draw from, and the number of the draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kedit.datasets.sampling import Sampler
from kedit.editors.base import Editor
from kedit.experiments.experiment import ExperimentError, Row
from kedit.experiments.sources import Source
from kedit.models.language_model import LanguageModel

__all__ = ["Measure", "Setting"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One cell of a grid, ready to be measured.

    Attributes:
        model: the unedited model; protocols leave it as it is.
        editor: None for protocols that edit nothing.
        source: where facts, questions and texts are drawn from.
        repeat: number of the draw; equal numbers give equal draws, whatever the editor.
    """

    model: LanguageModel
    editor: Editor | None
    source: Source
    repeat: int

    @property
    def sampler(self) -> Sampler:
        """Draws of facts from the source."""
        return self.source.sampler

    @property
    def required_editor(self) -> Editor:
        """The editor, for protocols that need one.

        Raises:
            ExperimentError: there is none.
        """
        if self.editor is None:
            raise ExperimentError("this protocol edits a model; name an editor in the series")
        return self.editor


Measure = Callable[[Setting, Mapping[str, Any]], Sequence[Row]]
