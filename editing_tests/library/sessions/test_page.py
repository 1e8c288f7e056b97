# SPDX-License-Identifier: Apache-2.0
"""The page on sessions: its commands run as printed, and its code too."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from kedit import cli

PAGE = Path(__file__).parents[3] / "docs" / "sessions.md"


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "facts.json").write_text(block("json"), encoding="utf-8")
    return tmp_path


def test_the_commands_of_the_page_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for line in block("sh").splitlines():
        program, *arguments = shlex.split(line)
        assert program == "kedit"
        assert cli.main(arguments) == 0, line
        outputs.append(capsys.readouterr().out)
    edited, log, diff, evaluated, undone, again, committed, exported = outputs
    assert edited == "edited 2 facts; mine has 2 updates\n"
    assert "Fort Bariox is located in -> Arden Province (was Delmar County)" in log
    assert len(re.findall("rank 2", diff)) == 2
    assert re.search(r"ES +0\.000 +1\.000", evaluated)
    assert undone.startswith("undid 2: Kork Foudroul has won the prize called -> Crystal Star")
    assert again == "edited 1 fact, 1 were edited already; mine has 2 updates\n"
    assert committed == "mine: 2 updates committed\n"
    assert exported == "wrote tiny-gpt2 with 2 updates to edited-model\n"
    assert (here / "edited-model" / "model.safetensors").is_file()


def test_the_code_of_the_page_runs(here: Path) -> None:
    exec(compile(block("python"), "sessions.md", "exec"), {})
    assert (here / "my-session" / "session.json").is_file()


def test_the_page_lists_the_commands() -> None:
    listed = set(re.findall(r"^\| `kedit (\w+) SESSION", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert listed == {"edit", "undo", "commit", "log", "diff", "evaluate", "export"}
