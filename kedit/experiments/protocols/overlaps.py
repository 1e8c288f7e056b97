# SPDX-License-Identifier: Apache-2.0
"""Whether two edits touch the same weights, and what the first one loses by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kedit.experiments.experiment import Row
from kedit.experiments.protocols.perturbation import last_keys, pairs
from kedit.experiments.setting import Setting
from kedit.experiments.steps import edit_all, edit_batches, edited_layer
from kedit.metrics import evaluate, key_cosine
from kedit.models.language_model import LanguageModel
from kedit.updates import Update

__all__ = ["top_overlap", "weight_overlap"]


def weight_overlap(setting: Setting, parameters: Mapping[str, Any]) -> list[Row]:
    """Two facts, each edited into the unedited model: Jaccard index of the entries that the two edits move most; and
    edited one after the other: how much of its probability the first object loses to the second edit.

    Parameters: `share` of the entries of each edited weight (0.01).
    """
    editor, share = setting.required_editor, float(parameters.get("share", 0.01))
    rows = []
    for arm, facts in pairs(setting).items():
        first, second = (edit_all(editor, setting.model, [fact], one_call=True) for fact in facts)
        names = sorted(set(first.update.changes) & set(second.update.changes))
        overlaps = [
            top_overlap(_moved(setting.model, first.update, name), _moved(setting.model, second.update, name), share)
            for name in names
        ]
        keys = last_keys(setting.model, facts, edited_layer(setting.model, first.update))
        known = evaluate(first.model, facts[:1], paraphrases=False, neighborhood=False).facts[0].probability
        (step,) = edit_batches(editor, first.model, facts[1:], state=first.state)
        left = evaluate(step.model, facts[:1], paraphrases=False, neighborhood=False).facts[0].probability
        rows += [
            Row("overlap", sum(overlaps) / len(overlaps), arm),
            Row("key cosine", key_cosine(keys[:, 0], keys[:, 1]), arm),
            Row("forgetting", known - left, arm),
        ]
    return rows


def top_overlap(one: Tensor, other: Tensor, share: float) -> float:
    """Jaccard index of the `share` of entries that are largest in magnitude in two changes of one shape `(d, f)`.

    Two independent choices overlap by `share / (2 - share)` on average.
    """
    count = max(1, round(share * one.numel()))
    first, second = (set(torch.topk(change.flatten().abs(), count).indices.tolist()) for change in (one, other))
    return len(first & second) / len(first | second)


def _moved(model: LanguageModel, update: Update, name: str) -> Tensor:
    """The change of one weight `(d, f)` that an update makes to the unedited model."""
    stored = model.parameter(name).detach()
    weight = (stored.T if model.is_transposed(name) else stored).float()
    return update.changes[name].new_weight(weight) - weight

