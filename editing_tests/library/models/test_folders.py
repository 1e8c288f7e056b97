# SPDX-License-Identifier: Apache-2.0
"""An edited model as a plain folder: whole, or refused by name. `sessions/test_another_process.py` reads one again."""

from __future__ import annotations

from pathlib import Path

import pytest

from editing_tests.library.random_models import random_model
from editing_tests.library.sessions.counting import Counting, fact
from kedit.models import LanguageModel, ModelError
from kedit.sessions import EditSession


def test_the_folder_is_the_model_as_it_is_now(tmp_path: Path) -> None:
    model = random_model("gpt2")
    model.corpus = ("Ada lives in Peru.", "Eve is there.")
    EditSession(model, Counting()).apply([fact(0)])
    model.save(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    again = LanguageModel.from_pretrained(tmp_path / "out")
    assert again.fingerprint() == again.origin == model.fingerprint() != model.origin
    assert again.corpus == model.corpus


def test_a_memory_is_no_part_of_a_checkpoint(tmp_path: Path) -> None:
    session = EditSession(random_model("gpt2"), Counting(memory=True))
    session.apply([fact(0)])
    with pytest.raises(ModelError, match=r"a memory \(Push\) answers beside the weights .*; save the session"):
        session.model.save(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model("gpt2")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes").write_text("mine")
    with pytest.raises(ModelError, match="is there already; choose another folder or remove it"):
        model.save(tmp_path / "out")

    def fail(folder: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(model.tokenizer, "save_pretrained", fail)
    with pytest.raises(OSError, match="disk full"):
        model.save(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
