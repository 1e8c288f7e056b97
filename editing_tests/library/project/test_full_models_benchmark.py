# SPDX-License-Identifier: Apache-2.0
"""The benchmark of full models runs on a tiny one, and its parts are parts of the whole."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
COMMON = ["--model", "tiny-gpt2", "--facts", "1,2", "--tokens", "1100"]


def test_the_parts_add_up_and_every_question_has_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    script = importlib.import_module("full_models")
    assert script.main([*COMMON, "--sequence", "1,2", "--out", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert [one["facts"] for one in found["batches"]] == [1, 2]
    for one in found["batches"]:
        seconds = dict(one["seconds"])
        whole = seconds.pop("all")
        assert sum(seconds.values()) == pytest.approx(whole)
        assert min(seconds.values()) > 0
        assert 0 < one["utilisation"] < 1
    assert found["statistics"]["tokens"] >= 1100
    assert [(one["editor"], one["edits"]) for one in found["sequences"]] == [
        (name, edits) for name in ("d4s", "alphaedit") for edits in (1, 2)
    ]
    for name in ("d4s", "alphaedit"):
        first, second = (one["state"] for one in found["sequences"] if one["editor"] == name)
        assert first == second > 0
    shown = capsys.readouterr().out
    assert "| 2 facts |" in shown and "published: MEMIT" in shown


def test_an_interrupt_leaves_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    script = importlib.import_module("full_models")

    def stopped(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(script, "batch_of", stopped)
    assert script.main([*COMMON, "--sequence", "0", "--out", str(tmp_path / "found.md")]) == 0
    assert "Second moments:" in (tmp_path / "found.md").read_text(encoding="utf-8")
