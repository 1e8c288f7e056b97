# SPDX-License-Identifier: Apache-2.0
"""Stored metric tables: tolerances in the file, one line for a failing cell, no failure for other editors' tables."""

from __future__ import annotations

import json

import pytest

from kedit.gate.snapshots import table

TEST = """
import pytest
from kedit.gate.snapshots import MetricTable, table

@pytest.mark.editing_table
@pytest.mark.parametrize("editor", {editors})
def test_table(snapshot, editor):
    rows = {{"1 fact": {{"ES": {es}, "NS": 0.9}}}}
    assert table(rows, {{"ES": 0.05, "NS": 0.01}}) == snapshot.use_extension(MetricTable)
"""


@pytest.fixture
def store(run, pytester):
    def start(es: float, *args: str, editors: tuple[str, ...] = ("a",)) -> pytest.RunResult:
        pytester.makepyfile(test_tables=TEST.format(es=es, editors=list(editors)))
        return run(*args)

    return start


def stored(pytester) -> dict:
    (path,) = pytester.path.glob("__snapshots__/**/*a*.json")
    return json.loads(path.read_text())


def test_a_number_within_its_stored_tolerance_matches_and_is_not_rewritten(store, pytester):
    store(0.80, "--snapshot-update").assert_outcomes(passed=1)
    assert stored(pytester) == {"1 fact": {"ES": {"value": 0.8, "atol": 0.05}, "NS": {"value": 0.9, "atol": 0.01}}}
    store(0.84).assert_outcomes(passed=1)
    store(0.84, "--snapshot-update").assert_outcomes(passed=1)
    assert stored(pytester)["1 fact"]["ES"]["value"] == 0.8
    store(0.86).assert_outcomes(failed=1)
    store(0.86, "--snapshot-update").assert_outcomes(passed=1)
    assert stored(pytester)["1 fact"]["ES"]["value"] == 0.86


def test_the_failing_cell_is_one_line(store):
    store(0.80, "--snapshot-update")
    result = store(0.25)
    # The short summary repeats it in full where a CI variable is set.
    lines = [line for line in result.outlines if line.startswith("E ") and "1 fact, " in line]
    assert len(lines) == 1
    assert "1 fact, ES: 0.25, stored 0.8 ± 0.05" in lines[0]


def test_a_missing_table_fails(store):
    store(0.80).assert_outcomes(failed=1)


def test_tables_of_other_editors_are_no_failure(store, pytester):
    store(0.80, "--snapshot-update", editors=("a", "b"))
    assert store(0.80, editors=("a",)).ret == 1  # unused, and nobody said why
    result = store(0.80, "--editor", "memit", "--model", "tiny-gpt2", "--editing-tables", editors=("a",))
    result.assert_outcomes(passed=1)
    assert result.ret == 0


OWN = """
import pytest
from kedit.gate import table_of
from kedit.gate.snapshots import table

@pytest.mark.editing_table
def test_table(snapshot, gate_case, pytestconfig):
    rows = {{"1 fact": {{"ES": {es}}}}}
    assert table(rows, {{"ES": 0.05}}) == snapshot.use_extension(table_of(gate_case, pytestconfig))
"""
EDITORS = """
from kedit.editors import Tags

class A:
    name, tags = "a", Tags()
    def edit(self, model, facts, state=None): ...

class B(A):
    name = "b"
"""


@pytest.fixture
def own(run, pytester):
    pytester.makepyfile(mylab=EDITORS)

    def start(es: float, *args: str, editor: str = "mylab:A") -> pytest.RunResult:
        pytester.makepyfile(test_tables=OWN.format(es=es))
        more = () if "--editing-tables-dir" in args else ("--editing-tables",)
        return run("--editor", editor, "--model", "tiny-gpt2", *more, *args, apart="-n" in args)

    return start


def values(folder):
    return {path.name: json.loads(path.read_text())["1 fact"]["ES"]["value"] for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "two workers"])
def test_tables_of_an_editor_of_ones_own_are_in_ones_own_folder(own, pytester, workers):
    folder = pytester.path / "editing-snapshots"
    assert own(0.80).ret == 1  # nothing stored yet
    assert not folder.exists()
    assert own(0.80, "--snapshot-update", *workers).ret == 0
    assert own(0.60, "--snapshot-update", *workers, editor="mylab:B").ret == 0
    both = {"mylab-A@tiny-gpt2.json": 0.8, "mylab-B@tiny-gpt2.json": 0.6}
    assert values(folder) == both
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert own(0.84, "--snapshot-update", *workers).ret == 0  # within the tolerance of the stored one
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    result = own(0.70, *workers)
    assert result.ret == 1
    assert [
        line.split("E ")[-1].strip() for line in result.outlines if line.startswith("E ") and "1 fact, " in line
    ] == ["1 fact, ES: 0.7, stored 0.8 ± 0.05"]
    assert values(folder) == both
    assert not (pytester.path / "__snapshots__").exists()


def test_tables_in_a_folder_that_is_named(own, pytester):
    assert own(0.80, "--snapshot-update", "--editing-tables-dir", "ours/tables", editor="memit").ret == 0
    assert values(pytester.path / "ours" / "tables") == {"memit@tiny-gpt2.json": 0.8}


def test_an_update_for_one_built_in_editor_deletes_no_other_table(own, pytester):
    for editor in ("memit", "rome"):
        assert own(0.80, "--snapshot-update", editor=editor).ret == 0
    assert len(list(pytester.path.glob("__snapshots__/test_tables/*.json"))) == 2


def test_tables_do_not_run_with_an_editor_unless_asked_for(store):
    store(0.80, "--editor", "memit", "--model", "tiny-gpt2").assert_outcomes(deselected=1)


def test_a_column_needs_a_tolerance():
    with pytest.raises(KeyError, match="NS"):
        table({"1 fact": {"NS": 1.0}}, {"ES": 0.1})
