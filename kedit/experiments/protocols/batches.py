# SPDX-License-Identifier: Apache-2.0
"""Batches of growing size in which subjects are one or many, and their keys near or far (MEMIT-Merge)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kedit.experiments.experiment import Row
from kedit.experiments.setting import Setting
from kedit.experiments.steps import edit_all, score_rows
from kedit.metrics import average_key_distance

__all__ = ["paired_batch"]


def paired_batch(setting: Setting, parameters: Mapping[str, Any]) -> list[Row]:
    """The same relations for one subject and for as many subjects, each in one call (MEMIT-Merge, appendix A).

    AKD is that of the editor's own keys at its last edited layer, for editors that show them (section 4.1).

    Parameters: `n`; `phrase`, "subject-first" or "relation-first" (the paper's two templates).
    """
    n = int(parameters["n"])
    same, distinct = setting.source.pairs(n, setting.repeat, parameters["phrase"])
    rows = []
    for arm, facts in (("same", same), ("distinct", distinct)):
        edited = edit_all(setting.required_editor, setting.model, facts, one_call=True)
        rows += score_rows(setting, edited.model, facts, arm, n)
        evidence = edited.update.evidence
        if evidence is not None and n > 1:
            keys = evidence.layers[max(evidence.layers)].keys
            rows.append(Row("AKD", average_key_distance(keys), arm, n))
    return rows
