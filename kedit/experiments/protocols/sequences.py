# SPDX-License-Identifier: Apache-2.0
"""Long sequences: what is kept, what is forgotten, how the weights grow, what the model still knows (D4S)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from kedit.datasets.questions import QuestionType
from kedit.experiments.experiment import ExperimentError, Row
from kedit.experiments.protocols.watching import Watch
from kedit.experiments.setting import Setting
from kedit.experiments.steps import edit_batches, score_rows
from kedit.facts import Fact
from kedit.metrics import evaluate
from kedit.models.language_model import LanguageModel
from kedit.models.scoring import score_targets

__all__ = ["long_sequence", "question_types"]

BLOCK = 20


def long_sequence(setting: Setting, parameters: Mapping[str, Any]) -> list[Row]:
    """Single edits, or batches of them, into one model that is never restored (D4S, sections 4.1, 4.2, 5).

    Rows by arm:
        "each": `probability` and `EM` of every fact right after its own edit; place is its number.
        "overall": at each checkpoint all metrics over all facts so far, `PPL` of held-out texts and `CHOICE` on
            questions about subjects that are never edited, and `L1 growth`, the mean absolute entry of the edited
            weights over that of the unedited ones; place is the number of edits. Place 0 is the unedited model.
        "early", "late": mean `probability` right after the edit over the first and the last block; place is `n`.
        "layer N": `L1` of one edited layer, in units of the weight, at each checkpoint.
        "kept": after the last edit, `EM` over each block of facts in the order of editing; place is the block's last
            ("degree of forgetting").

    Parameters: `facts`, "distinct" (as many subjects), "returning" (three rounds over a third as many) or "cases" (two
    facts of each subject in a row); `n`; `checkpoints`, numbers of edits; `batch`, facts a call (1); `block`, facts of
    a block (20); `tasks`, those that `Watch.task_rows` asks before the first edit and after the last.
    """
    facts = _facts(setting, str(parameters["facts"]), int(parameters["n"]))
    checkpoints, block = set(parameters["checkpoints"]), int(parameters.get("block", BLOCK))
    watch = Watch(setting, facts, parameters.get("tasks", ()))
    rows = [*watch.rows(setting.model, 0), *watch.task_rows(setting.model, 0)]
    before, reached = 0, []
    for step in edit_batches(setting.required_editor, setting.model.copy(), facts, int(parameters.get("batch", 1))):
        for number, fact in enumerate(facts[before : step.done], before + 1):
            found = evaluate(step.model, [fact], paraphrases=False, neighborhood=False)
            reached.append(found.facts[0].probability)
            rows += [Row("probability", reached[-1], "each", number), Row("EM", found.em, "each", number)]
        before = step.done
        watch.note(step)
        if step.done in checkpoints or step.done == len(facts):
            rows += score_rows(setting, step.model, facts[: step.done], "overall", step.done)
            rows += watch.rows(step.model, step.done)
    rows += watch.task_rows(step.model, len(facts))
    for arm, some in (("early", reached[:block]), ("late", reached[-block:])):
        rows.append(Row("probability", sum(some) / len(some), arm, len(facts)))
    final = evaluate(step.model, facts, paraphrases=False, neighborhood=False)
    for start in range(0, len(facts), block):
        part = final.facts[start : start + block]
        rows.append(Row("EM", sum(one.exact for one in part) / len(part), "kept", start + len(part)))
    return rows


def question_types(setting: Setting, parameters: Mapping[str, Any]) -> list[Row]:
    """Edit the same facts as a generated object, as the letter of a choice, or as yes (D4S, section 3.3).

    Rows by arm, the type of question: `target PPL` and `target tokens` on the unedited model, place 0; at each
    checkpoint `CHOICE` on subjects that are never edited, `PPL` and `L1 growth` as in `long_sequence`, and `EM` over
    the edits so far.

    Parameters: `n`; `checkpoints`; `tasks` as in `long_sequence`.
    """
    n, checkpoints = int(parameters["n"]), set(parameters["checkpoints"])
    rows = []
    for arm in get_args(QuestionType):
        facts = setting.source.question_types(n, setting.repeat, arm)
        watch = Watch(setting, facts, parameters.get("tasks", ()))
        rows += [*watch.rows(setting.model, 0, arm), *watch.task_rows(setting.model, 0, arm)]
        rows += _difficulty(setting.model, facts, arm)
        for step in edit_batches(setting.required_editor, setting.model.copy(), facts):
            watch.note(step)
            if step.done in checkpoints or step.done == n:
                found = evaluate(step.model, facts[: step.done], paraphrases=False, neighborhood=False)
                rows += [Row("EM", found.em, arm, step.done), *watch.rows(step.model, step.done, arm)]
        rows += watch.task_rows(step.model, n, arm)
    return rows


def _facts(setting: Setting, kind: str, n: int) -> list[Fact]:
    if kind == "distinct":
        return setting.sampler.distinct(n, setting.repeat)
    if kind == "returning":
        return [fact for one in setting.sampler.rounds(n // 3, 3, setting.repeat) for fact in one]
    if kind == "cases":
        return setting.sampler.density(n, 2, setting.repeat)
    raise ExperimentError(f"facts {kind!r} are not known; choose distinct, returning or cases")


def _difficulty(model: LanguageModel, facts: Sequence[Fact], arm: str) -> list[Row]:
    """Perplexity of the targets on the unedited model (D4S eq. 1) and their mean length."""
    scored = score_targets(model, [(fact.prompt.text, fact.target) for fact in facts])
    tokens = sum(one.log_probs.numel() for one in scored)
    total = sum(float(one.log_probs.sum()) for one in scored)
    return [Row("target PPL", math.exp(-total / tokens), arm), Row("target tokens", tokens / len(facts), arm)]
