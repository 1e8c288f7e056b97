# SPDX-License-Identifier: Apache-2.0
"""What facts of one subject do to each other (S2RKE)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from kedit.experiments.experiment import Row
from kedit.experiments.protocols.watching import TEXTS
from kedit.experiments.setting import Setting
from kedit.experiments.steps import edit_all, edit_batches, edited_layer, score_rows
from kedit.facts import Fact
from kedit.locate_then_edit.contexts import BARE
from kedit.locate_then_edit.keys import SubjectReader
from kedit.metrics import evaluate, key_cosine, model_perplexity
from kedit.models.activations import Site
from kedit.models.language_model import LanguageModel

__all__ = ["density", "first_and_last", "key_pair", "last_keys", "same_and_different"]

DENSITIES = {1: "low", 2: "medium", 3: "high"}


def same_and_different(setting: Setting, parameters: Mapping[str, Any]) -> list[Row]:
    """`n` facts of one subject against `n` of as many, each edited into the unedited model (S2RKE, section 4.2).

    Parameters: `n`; `mode`, "sequential" for one call a fact or "batch" for one call.
    """
    n, one_call = int(parameters["n"]), parameters["mode"] == "batch"
    arms = {
        "same": setting.sampler.same_subject(n, setting.repeat),
        "different": setting.sampler.distinct(n, setting.repeat),
    }
    rows = []
    for arm, facts in arms.items():
        edited = edit_all(setting.required_editor, setting.model, facts, one_call=one_call)
        rows += score_rows(setting, edited.model, facts, arm, n)
    return rows


def density(setting: Setting, parameters: Mapping[str, Any]) -> list[Row]:
    """The same number of facts, one, two or three of each subject (S2RKE, section 3).

    `PPL ratio` is the perplexity over that of the unedited model.

    Parameters: `n`, a multiple of 6; `mode` as in `same_and_different`.
    """
    n, one_call = int(parameters["n"]), parameters["mode"] == "batch"
    texts = setting.source.texts(TEXTS, setting.repeat)
    unedited = model_perplexity(setting.model, texts)
    rows = []
    for per_subject, arm in DENSITIES.items():
        facts = setting.sampler.density(n, per_subject, setting.repeat)
        edited = edit_all(setting.required_editor, setting.model, facts, one_call=one_call)
        rows += score_rows(setting, edited.model, facts, arm, n)
        perplexity = model_perplexity(edited.model, texts)
        rows += [Row("PPL", perplexity, arm, n), Row("PPL ratio", perplexity / unedited, arm, n)]
    return rows


def first_and_last(setting: Setting, parameters: Mapping[str, Any]) -> list[Row]:
    """The first fact after the last one, which is about the same subject or about another (S2RKE, section 4.3).

    All facts between are the same in both arms, so a sequence runs once up to the last edit.

    Parameters: `n` edits; `mode`.
    """
    n, editor = int(parameters["n"]), setting.required_editor
    homogeneous, heterogeneous = setting.sampler.homogeneous(n, setting.repeat)
    rows = []
    if parameters["mode"] == "batch":
        for arm, facts in (("homogeneous", homogeneous), ("heterogeneous", heterogeneous)):
            edited = edit_all(editor, setting.model, facts, one_call=True)
            rows += score_rows(setting, edited.model, facts[:1], arm, n)
        return rows
    *_, before = edit_batches(editor, setting.model.copy(), homogeneous[:-1])
    for arm, last in (("homogeneous", homogeneous[-1]), ("heterogeneous", heterogeneous[-1])):
        (step,) = edit_batches(editor, before.model.copy(), [last], state=before.state)
        rows += score_rows(setting, step.model, homogeneous[:1], arm, n)
    return rows


def key_pair(setting: Setting, parameters: Mapping[str, Any]) -> list[Row]:
    """How alike two keys are, and what becomes of the first of two facts (S2RKE, section 5.2).

    The keys are those of the bare prompts at the last edited layer of the unedited model.

    Parameters: `mode`.
    """
    one_call = parameters["mode"] == "batch"
    rows = []
    for arm, facts in pairs(setting).items():
        edited = edit_all(setting.required_editor, setting.model, facts, one_call=one_call)
        keys = last_keys(setting.model, facts, edited_layer(setting.model, edited.update))
        first = evaluate(edited.model, facts[:1], paraphrases=False, neighborhood=False)
        rows += [
            Row("key cosine", key_cosine(keys[:, 0], keys[:, 1]), arm),
            Row("ES of the first", first.es, arm),
            Row("probability of the first", first.facts[0].probability, arm),
        ]
    return rows


def pairs(setting: Setting) -> dict[str, list[Fact]]:
    """Two facts of one subject, and the first of them with one of another subject."""
    same, different = setting.sampler.homogeneous(2, setting.repeat)
    return {"same": list(same), "different": list(different)}


def last_keys(model: LanguageModel, facts: Sequence[Fact], layer: int) -> Tensor:
    """Keys `(f, n)` of the bare prompts at `layer`."""
    site = Site("key", layer)
    return SubjectReader(model, facts, (BARE,), "groups").read(model, averaged=[site])[site]
