# SPDX-License-Identifier: Apache-2.0
"""Batches and sequences of edits on copies of a model, and what is read off the edited one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kedit.editors.base import Editor
from kedit.experiments.experiment import ExperimentError, Row
from kedit.experiments.setting import Setting
from kedit.facts import Fact
from kedit.metrics import evaluate
from kedit.models.language_model import LanguageModel
from kedit.models.scoring import score_targets
from kedit.updates import Update

__all__ = ["Step", "edit_all", "edit_batches", "edited_layer", "score_rows"]


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


def score_rows(
    setting: Setting, model: LanguageModel, facts: Sequence[Fact], arm: str = "", place: int = 0
) -> list[Row]:
    """ES, exact match and mean probability of the new objects; PS and PAR, NS and SPE where all facts have the prompts.

    Facts without neighborhood prompts may have questions of their own for SPE: whether greedy decoding answers them
    right, averaged over questions, then over facts (D4S eq. 16; zsRE's locality).
    """
    rephrased, near = (all(getattr(fact, name) for fact in facts) for name in ("paraphrases", "neighborhood"))
    found = evaluate(model, facts, paraphrases=rephrased, neighborhood=near)
    values = {
        "ES": found.es,
        "EM": found.em,
        "probability": sum(one.probability for one in found.facts) / found.n,
    }
    if rephrased:
        values |= {"PS": found.ps, "PAR": found.par}
    if near:
        values |= {"NS": found.ns, "SPE": found.spe}
    else:
        asked = [setting.source.specificity(fact) for fact in facts]
        if all(asked):
            values["SPE"] = _right(model, asked)
    return [Row(metric, value, arm, place) for metric, value in values.items()]


def edited_layer(model: LanguageModel, update: Update) -> int:
    """The last block whose down-projection an update changes.

    Raises:
        ExperimentError: it changes none.
    """
    changed = [layer for layer in range(model.n_blocks) if model.weight_name(layer) in update.changes]
    if not changed:
        raise ExperimentError(
            f"{update.editor} changes no down-projection, so no layer's keys are its own; choose an editor that does"
        )
    return changed[-1]


def _right(model: LanguageModel, asked: Sequence[Sequence[tuple[str, str]]]) -> float:
    flat = [pair for pairs in asked for pair in pairs]
    right = iter(score_targets(model, flat))
    return sum(sum(next(right).greedy for _ in pairs) / len(pairs) for pairs in asked) / len(asked)
