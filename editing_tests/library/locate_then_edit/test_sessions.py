# SPDX-License-Identifier: Apache-2.0
"""Sessions are opened once for the same weights, corpus and settings, and never for others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from editing_tests.library.random_models import random_model
from kedit.locate_then_edit.contexts import ContextConfig
from kedit.locate_then_edit.pipeline import open_session
from kedit.statistics.second_moments import StatisticsError

CONTEXTS = ContextConfig(count=1, length=3)
TEXTS = ("Mira Solano is a citizen of Spain.", "Ada was born in the year 2012.", "Eve May plays for the Badgers.")


def test_what_a_session_depends_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDIT_CACHE", str(tmp_path))
    model = random_model("gpt2")
    model.corpus = TEXTS
    first = open_session(model, [0, 1], CONTEXTS)
    assert open_session(model.copy(), [0, 1], CONTEXTS) is first
    assert open_session(model, [0], CONTEXTS) is not first
    assert open_session(model, [0, 1], ContextConfig(count=1, length=3, seed=1)) is not first
    other = model.copy()
    other.corpus = TEXTS[:-1]
    assert not torch.equal(open_session(other, [0, 1], CONTEXTS).moments[0].matrix, first.moments[0].matrix)


def test_an_edited_model_gets_no_session_of_the_unedited_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDIT_CACHE", str(tmp_path / "a"))
    model = random_model("gpt2")
    model.corpus = TEXTS
    open_session(model, [0], CONTEXTS)
    with torch.no_grad():
        model.parameter(model.weight_name(0)).add_(1e-3)
    monkeypatch.setenv("KEDIT_CACHE", str(tmp_path / "b"))
    with pytest.raises(StatisticsError, match="not as it was loaded"):
        open_session(model, [0], CONTEXTS)
