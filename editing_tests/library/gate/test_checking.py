# SPDX-License-Identifier: Apache-2.0
"""`check_editor`: the rows of the command line, in this process, which stays as it was."""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from editing_tests.library.gate.counts import PROPERTIES as COUNT
from kedit.editors import Tags
from kedit.facts import check_facts
from kedit.gate import PropertyViolation, check_editor
from kedit.gate.run import suite_folder
from kedit.updates import Replaced, Update

PURE = "contract.pure-edit"


class Quiet:
    """Seeded noise on one weight."""

    name, tags = "quiet", Tags(batch=True, writes_weights=True)

    def __init__(self, size: float = 0.01) -> None:
        self.size = size

    def edit(self, model, facts, state=None):
        check_facts(facts)
        name, weight = model.weight_name(0), model.weight(0)
        noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
        return Update({name: Replaced(weight + self.size * noise)}, model.fingerprint([name]), tuple(facts)), state


class Careless(Quiet):
    """Prints, draws, warns, and changes what the process shares."""

    def edit(self, model, facts, state=None):
        sys.stdout.write("editing\n")
        warnings.warn("careless", UserWarning, stacklevel=1)
        torch.rand(1)
        random.random()
        logging.getLogger().setLevel(logging.DEBUG)
        return super().edit(model, facts, state)


def process() -> list[object]:
    return [
        list(sys.path),
        {name for name in sys.modules if name.startswith("editing_tests.") and "test_" in name},
        Path.cwd(),
        dict(os.environ),
        list(sys.meta_path),
        list(warnings.filters),
        (logging.getLogger().level, list(logging.getLogger().handlers)),
        random.getstate(),
        torch.get_rng_state().tolist(),
        torch.get_num_threads(),
        sys.stdout,
        sys.stderr,
    ]


def test_rows_of_a_class_an_instance_and_a_string_and_no_trace(loaded, capfd, monkeypatch, tmp_path):
    (tmp_path / "quietlab.py").write_text("from editing_tests.library.gate.test_checking import Quiet\n")
    monkeypatch.chdir(tmp_path)
    before = process()
    by_class = check_editor(Careless, properties=PURE, config={"size": 0.02}, on_fail="report")
    assert process() == before
    assert [(row.property, row.status) for row in by_class.failed] == [(PURE, "failed")]
    assert "random state of torch" in by_class.failed[0].reason
    assert by_class.verdict.endswith(f":Careless: rejected by: {PURE} (only 1 of {COUNT} properties ran)")
    by_instance = check_editor(Quiet(), properties=[PURE])
    by_string = check_editor("quietlab:Quiet", properties="contract.pure*")
    assert [row.as_row() | {"seconds": 0} for row in by_instance] == [
        row.as_row() | {"seconds": 0} for row in by_string
    ]
    assert process() == before
    assert capfd.readouterr() == ("", "")
    assert str(by_string).splitlines()[-1] == f"quietlab:Quiet: accepted (only 1 of {COUNT} properties ran)"


def test_a_violation_is_raised_with_every_failed_line(loaded):
    with pytest.raises(PropertyViolation) as caught:
        check_editor(Quiet(), properties="efficacy.single")
    lines = str(caught.value).splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["efficacy.single"] * len(lines[:-1])
    assert "rejected by: efficacy.single" in lines[-1]


def test_the_rows_are_those_of_the_command_line(run, pytester):
    here = check_editor("ft-l", properties=["contract.deterministic", "efficacy.single"], seed=3, on_fail="report")
    result = run(suite_folder(), "--editor", "ft-l", "--model", "tiny-gpt2", "--editing-seed", "3", "-k",
                 "test_deterministic or test_single")  # fmt: skip
    # Pytester's settings shorten no line of the gate.
    told = [line for line in result.outlines if line.startswith(("contract.", "efficacy.")) and "tiny-gpt2" in line]
    assert str(here).splitlines() == [*told, result.outlines[-1]]


def test_an_expected_failure_is_no_violation(loaded, tmp_path):
    known = tmp_path / "known.toml"
    known.write_text("[[expect]]\nproperty = 'efficacy.single'\nreason = 'it is noise'\n")
    assert "accepted with 1 known failure" in check_editor(Quiet, properties="efficacy.single", expect=known).verdict


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"properties": "contract.pure"}, r"no property is called 'contract\.pure'; did you mean contract\.pure-edit"),
        ({"properties": ["efficacy.*", "zzz"]}, "'zzz'; known: contract.any-batch"),
        ({"properties": []}, "properties is empty"),
        ({"on_fail": "shout"}, "'raise' or 'report'"),
        ({"config": {"sise": 1}}, "unexpected keyword argument 'sise'"),
        ({"model": "tiny-gpt9"}, "--model tiny-gpt9: neither one of tiny-gpt2"),
        ({"expect": "none.toml"}, "--expect none.toml: cannot be read"),
        ({"seed": "x"}, "invalid int value: 'x'"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(value),
)
def test_wrong_arguments_are_one_line(loaded, arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        check_editor(Quiet, **arguments)
    assert "\n" not in str(caught.value)


def test_an_editor_of_a_notebook_cell(tmp_path):
    """A class without a file, in `__main__`, twice with one name."""
    cell = f"""
import torch
from kedit.gate import check_editor
from editing_tests.library.gate.test_checking import Quiet
class Mine(Quiet):
    size_of_all = SIZE
print(check_editor(Mine, properties="{PURE}").verdict)
"""
    code = f"for size in '12': exec({cell!r}.replace('SIZE', size), globals())"
    call = [sys.executable, "-c", code]
    told = subprocess.run(call, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert told == f"__main__:Mine: accepted (only 1 of {COUNT} properties ran)\n" * 2
