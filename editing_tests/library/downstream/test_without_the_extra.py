# SPDX-License-Identifier: Apache-2.0
"""Downstream tasks where lm-evaluation-harness, or a part of what it needs, is not installed."""

from __future__ import annotations

import sys

import pytest

from kedit.downstream import DownstreamError, evaluate_tasks, harness_model, world_task
from kedit.metrics import Question
from kedit.models.language_model import LanguageModel
from kedit.paths import model_folder

PARTS = ("lm_eval", "lm_eval.evaluator", "lm_eval.api.task", "lm_eval.models.huggingface")


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> LanguageModel:
    for part in PARTS:
        monkeypatch.setitem(sys.modules, part, None)
    return LanguageModel.from_pretrained(model_folder("tiny-gpt2"))


def test_the_extra_is_named(model: LanguageModel) -> None:
    needs = r"need lm-evaluation-harness, and lm_eval\S* is missing; install kedit\[downstream\]"
    with pytest.raises(DownstreamError, match=needs):
        evaluate_tasks(model, ["arc_challenge"])
    with pytest.raises(DownstreamError, match=needs):
        harness_model(model)


def test_the_extra_is_named_for_a_local_task_too(model: LanguageModel) -> None:
    pytest.importorskip("datasets", reason="the extra 'downstream' is not installed")
    with pytest.raises(DownstreamError, match=r"lm_eval\S* is missing; install kedit\[downstream\]"):
        world_task([Question("one and one is", ("two", "three"), 0)])
