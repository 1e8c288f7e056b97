# SPDX-License-Identifier: Apache-2.0
"""Batches and sequences of edits on copies of a model, and what is read off the edited one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kedit.editors.base import Editor
from kedit.experiments.experiment import ExperimentError, Row
from kedit.facts import Fact
from kedit.metrics import Evaluation
from kedit.models.language_model import LanguageModel
from kedit.updates import Update

__all__ = ["Step", "edit_all", "edit_batches", "score_rows"]


@dataclass(frozen=True, slots=True)
class Step:
    """One call of an editor, applied.

    Attributes:
        done: facts edited so far.
        model: the model as it is then; the next step changes it further.
        update: what the call changed.
        state: what the editor wants to be given next.
    """

    done: int
    model: LanguageModel
    update: Update
    state: object


def edit_batches(
    editor: Editor, model: LanguageModel, facts: Sequence[Fact], size: int = 1, *, state: object = None
) -> Iterator[Step]:
    """Edit `facts` in calls of `size` into `model` itself, one after the other.

    Args:
        editor: with the tag `sequential` if there are several calls, `batch` if one takes several facts.
        model: is edited; give a copy.
        facts: in the order of editing.
        size: facts a call; the last one may be smaller.
        state: of the editor, if the model has been edited by it before.

    Raises:
        ExperimentError: the editor's tags forbid such calls.
    """
    if size > 1 and not editor.tags.batch:
        raise ExperimentError(f"{editor.name} edits one fact a call; choose an editor with the tag 'batch'")
    if len(facts) > size and not editor.tags.sequential:
        raise ExperimentError(f"{editor.name} cannot be called again on what it edited; choose one that is sequential")
    for start in range(0, len(facts), size):
        call = facts[start : start + size]
        update, state = editor.edit(model, call, state)
        update.apply(model)
        yield Step(start + len(call), model, update, state)


def edit_all(editor: Editor, model: LanguageModel, facts: Sequence[Fact], *, one_call: bool) -> Step:
    """Edit all `facts` into a copy of `model`, in one call or one by one; the last step."""
    *_, last = edit_batches(editor, model.copy(), facts, len(facts) if one_call else 1)
    return last


def score_rows(found: Evaluation, arm: str = "", place: int = 0) -> list[Row]:
    """ES, PS, NS, exact match, PAR, SPE and the mean probability of the new objects, as rows."""
    values = {
        "ES": found.es,
        "PS": found.ps,
        "NS": found.ns,
        "EM": found.em,
        "PAR": found.par,
        "SPE": found.spe,
        "probability": sum(math.exp(one.efficacy.wanted) for one in found.facts) / found.n,
    }
    return [Row(metric, value, arm, place) for metric, value in values.items()]
