# SPDX-License-Identifier: Apache-2.0
"""`kedit gate NAME` is pytest on the installed suite, with the verdict as its last line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from editing_tests.library.gate.counts import PROPERTIES as COUNT
from kedit import cli
from kedit.commands.gate import gate_command
from kedit.editors import editor_names

NOISE = """
import torch
from kedit.editors import Tags
from kedit.updates import Replaced, Update

class Noise:  # takes any fact, which the contract forbids
    name, tags = "noise", Tags(batch=True, writes_weights=True)

    def edit(self, model, facts, state=None):
        name = model.weight_name(0)
        changes = {name: Replaced(model.weight(0) + 0.01)}
        return Update(changes, base=model.fingerprint([name]), facts=tuple(facts)), state
"""


@pytest.fixture
def gate(tmp_path, monkeypatch, capfd):
    (tmp_path / "mine.py").write_text(NOISE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(cli.__file__).parents[1]))
    monkeypatch.setenv("PYTEST_PLUGINS", "kedit.gate.plugin")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def start(*args: str) -> tuple[int, list[str]]:
        status = cli.main(["gate", *args])
        return status, capfd.readouterr().out.splitlines()

    return start


def test_an_accepted_editor(gate, tmp_path):
    status, lines = gate("mine:Noise", "--model", "tiny-gpt2", "-n", "0", "-k", "test_deterministic or test_exact_undo")
    assert status == 0
    assert lines[-1] == f"mine:Noise: accepted (only 2 of {COUNT} properties ran)"
    assert any("contract.exact-undo" in line and "passed" in line for line in lines)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == ["mine.py"]


def test_a_rejected_editor(gate):
    status, lines = gate("mine:Noise", "--model", "tiny-gpt2", "--jobs", "0", "-k", "test_bad_batch")
    assert status == 1
    assert lines[-1] == f"mine:Noise: rejected by: contract.rejects-bad-facts (only 1 of {COUNT} properties ran)"


def test_two_processes_unless_told_otherwise():
    call = gate_command("memit", None, ["--model", "tiny-gpt2"])
    assert call[1:5] == ["-m", "pytest", "--pyargs", "editing_tests"]
    assert call[call.index("--editor") + 1 :] == ["memit", "-n", "2", "--dist", "worksteal", "--model", "tiny-gpt2"]
    on_full_models = gate_command("memit", None, ["-m", "gpu"])
    assert on_full_models[on_full_models.index("-n") + 1] == "0"


def test_quick_is_an_option_of_the_gate_and_the_rest_is_pytests(monkeypatch):
    seen = []
    monkeypatch.setattr("kedit.commands.gate.gate", lambda *args: seen.append(args) or 0)
    assert cli.main(["gate", "memit", "--quick", "-q", "-k", "diff", "--qui", "--job", "3"]) == 0
    assert seen == [("memit", None, ["--editing-quick", "-q", "-k", "diff", "--qui", "--job", "3"])]


def test_the_module_is_the_command():
    call = [sys.executable, "-m", "kedit", "gate", "--help"]
    shown = subprocess.run(call, capture_output=True, text=True, check=True)
    assert "kedit gate" in shown.stdout
    assert "0 accepted, 1 rejected, 4 wrong usage" in shown.stdout


def test_the_gate_does_not_wait_for_torch():
    code = "import sys; from kedit import cli; cli.parser(); import kedit.commands.gate; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_the_list_of_editors_tells_what_each_is_and_fails(capsys):
    assert cli.main(["editors"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 * len(editor_names())
    where = next(i for i, line in enumerate(lines) if line.startswith("memit-merge "))
    assert lines[where].split(maxsplit=1)[1] == "Dong et al. 2025: several MLP down-projections"
    assert lines[where + 1].split()[:3] == ["tags:", "batch,", "sequential,"]
    known = "known failures: longevity.returning-subjects, perturbation.homogeneous-sequence"
    assert lines[where + 2].strip() == known
    assert cli.main(["editors", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["editors"]
    assert [row["name"] for row in rows] == list(editor_names())
    assert all(row["year"] >= 2020 and row["paper"] and row["tags"] for row in rows)
    assert all(entry["reason"] for row in rows for entry in row["known_failures"])
