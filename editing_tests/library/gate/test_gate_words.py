# SPDX-License-Identifier: Apache-2.0
"""`kedit gate init` writes what is not there, `kedit gate diff` tells what got worse."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from kedit import cli
from kedit.commands.gate_init import files
from kedit.gate.expectations import read_expectations
from kedit.gate.run import suite_folder
from kedit.gate.thresholds import Thresholds


def test_init_writes_three_files_and_leaves_what_is_there(tmp_path, capsys):
    repository = tmp_path / "lab"
    mine = repository / "editing-expectations.toml"
    repository.mkdir()
    mine.write_text("# mine\n")
    assert cli.main(["gate", "init", str(repository), "--editor", "lab.editors:Ours"]) == 0
    told = capsys.readouterr().out
    assert f"left alone, it is there: {mine}" in told
    assert f"wrote {repository / 'tests' / 'test_editing_gate.py'}" in told
    assert "kedit gate lab.editors:Ours --quick" in told
    assert mine.read_text() == "# mine\n"
    written = {path.relative_to(repository).as_posix() for path in repository.rglob("*") if path.is_file()}
    assert written == set(files("x"))
    assert 'check_editor("lab.editors:Ours"' in (repository / "tests" / "test_editing_gate.py").read_text()


def test_init_asks_for_the_name_it_was_not_given(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["gate", "init"]) == 0
    assert "First put the name of your editor in the place of mylab.editors:MyEditor" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--editor", "a b"], "--editor a b: give a built-in name or package.module:Attribute"),
        (["--editor", "m:E; rm -rf ~"], "give a built-in name"),
        (["taken"], "taken is a file; name the folder of a repository"),
    ],
)
def test_what_init_refuses(tmp_path, monkeypatch, capsys, args, words):
    monkeypatch.chdir(tmp_path)
    Path("taken").touch()
    assert cli.main(["gate", "init", *args]) == 2
    assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_the_workflow_is_yaml_and_judges_the_editor():
    workflow = yaml.safe_load(files("mylab:Mine")[".github/workflows/editing-gate.yml"])
    (job,) = workflow["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands[0].startswith('python -m pip install "kedit')
    assert commands[1].startswith("kedit gate mylab:Mine --expect editing-expectations.toml ")
    assert any(step.get("if") == "always()" for step in job["steps"])


@pytest.mark.parametrize("known", [0, 1])
def test_the_expectations_are_valid_with_and_without_the_example(tmp_path, known):
    text = files("mylab:Mine")["editing-expectations.toml"]
    example = "\n".join(line.removeprefix("# ") for line in text.splitlines()[3:])
    path = tmp_path / "expectations.toml"
    path.write_text(example if known else text)
    assert len(read_expectations(path, "--expect", Thresholds.read(suite_folder() / "thresholds.toml"))) == known


@dataclass
class Comparison:
    lines: list[str]
    worse: bool


@pytest.fixture
def comparing(monkeypatch):
    """Stands for the comparison: OLD holds the answer."""
    module = ModuleType("kedit.gate.comparing")

    def compare(old: Path, new: Path) -> Comparison:
        if old.read_text() == "wrong":
            raise ValueError(f"{old}: not a report;\n make it with --editing-report")
        return Comparison([f"{old.name} and {new.name}"], old.read_text() == "worse")

    module.compare = compare
    monkeypatch.setitem(sys.modules, "kedit.gate.comparing", module)


@pytest.mark.parametrize(("answer", "status"), [("same", 0), ("worse", 1), ("wrong", 2)])
def test_diff_tells_what_got_worse(comparing, tmp_path, capsys, answer, status):
    (tmp_path / "old.json").write_text(answer)
    assert cli.main(["gate", "diff", str(tmp_path / "old.json"), str(tmp_path / "new.json")]) == status
    out, err = capsys.readouterr()
    if answer == "wrong":
        assert (out, err) == ("", f"kedit: {tmp_path}/old.json: not a report; make it with --editing-report\n")
    else:
        assert (out, err) == ("old.json and new.json\n", "")


def test_diff_without_files_and_without_arguments(comparing, tmp_path, capsys):
    assert cli.main(["gate", "diff", str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    assert "No such file" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        cli.main(["gate", "diff", "a"])
    assert caught.value.code == 2
