# SPDX-License-Identifier: Apache-2.0
"""How many tokens of second moments an edit needs."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kedit.experiments.experiment import ExperimentError, Row
from kedit.experiments.setting import Setting
from kedit.experiments.steps import edit_all, score_rows
from kedit.locate_then_edit.pipeline import Session
from kedit.models.activations import BATCH_TOKENS
from kedit.models.language_model import LanguageModel
from kedit.statistics.gram import Gram, sum_keys
from kedit.statistics.portions import portions, row_limit
from kedit.statistics.second_moments import SecondMoment

__all__ = ["statistics_tokens"]

CORPUS, KEY_SIZE = "of the corpus", "of the key size"


def statistics_tokens(setting: Setting, parameters: Mapping[str, Any]) -> list[Row]:
    """One batch of facts of as many subjects, edited with second moments of more and more tokens, drawn by text.

    `C error` is the relative Frobenius distance to the second moment of the whole corpus, averaged over the edited
    layers. Editors refuse fewer tokens than a key has entries; here they are told that there are enough, to show what
    the refusal is for. The editor's state must be a session of the common pipeline.

    Parameters: `n` facts; `corpus`, tokens in thousandths of the corpus, of which 1000 is always measured; `key_size`,
    tokens in hundredths of the size of a key.
    """
    n, editor, model = int(parameters["n"]), setting.required_editor, setting.model
    facts = setting.sampler.distinct(n, setting.repeat)
    whole = edit_all(editor, model, facts, one_call=True)
    state = whole.state
    if not isinstance(state, Session) or not state.moments:
        raise ExperimentError(f"{editor.name} keeps no second moments in its state; choose memit, memit-merge or pmet")
    rows = [*score_rows(setting, whole.model, facts, CORPUS, 1000), Row("C error", 0.0, CORPUS, 1000)]
    total = max(moment.tokens for moment in state.moments.values())
    for arm, place, tokens in _sizes(parameters, total, model.f):
        moments = _measured(model, state.moments, tokens, setting.repeat)
        update, _ = editor.edit(model, facts, replace(state, moments=moments))
        edited = model.copy()
        update.apply(edited)
        rows += score_rows(setting, edited, facts, arm, place)
        errors = [
            float((moment.matrix - state.moments[layer].matrix).norm() / state.moments[layer].matrix.norm())
            for layer, moment in moments.items()
        ]
        rows.append(Row("C error", sum(errors) / len(errors), arm, place))
    return rows


def _sizes(parameters: Mapping[str, Any], total: int, f: int) -> Iterator[tuple[str, int, int]]:
    """Arm, place and number of tokens of each part of the corpus."""
    for place in parameters["corpus"]:
        yield CORPUS, int(place), max(1, total * int(place) // 1000)
    for place in parameters["key_size"]:
        yield KEY_SIZE, int(place), max(1, f * int(place) // 100)


def _measured(
    model: LanguageModel, known: Mapping[int, SecondMoment], tokens: int, seed: int
) -> dict[int, SecondMoment]:
    """Second moments of the first `tokens` tokens of the shuffled corpus, at the layers of `known`."""
    texts: Sequence[str] = random.Random(seed).sample(model.corpus, len(model.corpus))
    sums = {layer: Gram(model.f, exact=True) for layer in known}
    stream = portions(model.tokenizer, texts, limit=row_limit(model), size=tokens, tokens=tokens)
    counted = sum(sum_keys(model, portion.rows, sums, BATCH_TOKENS) for portion in stream)
    return {
        layer: SecondMoment(layer, total.matrix() / counted, max(counted, model.f), model.origin, known[layer].corpus)
        for layer, total in sums.items()
    }
