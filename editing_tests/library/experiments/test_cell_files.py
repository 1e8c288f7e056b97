# SPDX-License-Identifier: Apache-2.0
"""Files of cells: what they are named by, and that nothing else passes for one."""

from __future__ import annotations

import ast
import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import kedit
from editing_tests.library.experiments.quick_protocols import BENCH, EXPERIMENTS, FIRST, entry, grid, made
from kedit.experiments.cells import Cell, CellFolder
from kedit.experiments.experiment import ExperimentError, Row, Series
from kedit.experiments.fingerprints import code_fingerprint, folder_fingerprint, own_sources
from kedit.experiments.grid import Code, SourceFiles, Task, request_for, unique
from kedit.experiments.requests import read_requests, write_requests

ROWS = (Row("a", 0.1 + 0.2, "x", 3), Row("perplexity", math.inf))


@pytest.fixture(scope="module")
def task() -> Task:
    return grid(made("one", FIRST))[0]


def cell_of(task: Task) -> Cell:
    return Cell(task.key, ROWS, 1.5, {"python": "3.11"})


def test_a_cell_comes_back_to_the_last_bit(task: Task, tmp_path: Path) -> None:
    CellFolder(tmp_path / "new").put(task, cell_of(task))
    assert CellFolder(tmp_path / "new").get(task) == cell_of(task)
    (path,) = (tmp_path / "new" / "cells").iterdir()
    assert json.loads(path.read_text())["rows"][1] == ["", 0, "perplexity", "inf"]


CHANGES: dict[str, Callable[[Task], Task]] = {
    "protocol": lambda task: replace(task, protocol="other"),
    "editor": lambda task: replace(task, editor="rome"),
    "config": lambda task: replace(task, config='{"steps":4}'),
    "parameters": lambda task: replace(task, parameters='{"size":3}'),
    "repeat": lambda task: replace(task, repeat=7),
    "weights": lambda task: replace(task, model=replace(task.model, origin="0")),
    "tokens": lambda task: replace(task, model=replace(task.model, files="0")),
    "facts": lambda task: replace(task, files=replace(task.files, facts_fingerprint="0")),
    "texts": lambda task: replace(task, files=replace(task.files, texts_fingerprint="0")),
    "code": lambda task: replace(task, code=replace(task.code, fingerprint="0")),
    "protocols": lambda task: replace(task, code=replace(task.code, protocols="m:P")),
    "source": lambda task: replace(task, code=replace(task.code, source="m:s")),
}


@pytest.mark.parametrize("part", CHANGES)
def test_what_a_measurement_depends_on_is_in_its_key(part: str, task: Task, tmp_path: Path) -> None:
    """Pitfall 68: a stored number is never lent to another editor, model, protocol, draw or code."""
    other = CHANGES[part](task)
    assert {name for name, value in other.key.items() if value != task.key[name]} == {part}
    folder = CellFolder(tmp_path)
    folder.put(task, cell_of(task))
    assert folder.get(other) is None


def test_every_part_of_a_key_can_change(task: Task) -> None:
    assert set(task.key) == set(CHANGES)


def test_names_and_paths_are_not_in_it(task: Task) -> None:
    elsewhere = replace(task, model=replace(task.model, name="x", place="/x"), files=replace(task.files, facts="/x"))
    assert elsewhere.digest == task.digest
    assert unique([task, elsewhere]) == [task]


def _renamed(path: Path) -> None:
    path.rename(path.with_name("0" * 24 + ".json"))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "not text": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "a list": lambda path: path.write_text("[1]"),
    "another schema": lambda path: path.write_text(path.read_text().replace('"schema": 1', '"schema": 2')),
    "no seconds": lambda path: path.write_text(path.read_text().replace('"seconds"', '"minutes"')),
    "another key": lambda path: path.write_text(path.read_text().replace('"repeat": 0', '"repeat": 1')),
    "no number": lambda path: path.write_text(path.read_text().replace('"inf"', "NaN")),
    "another word": lambda path: path.write_text(path.read_text().replace('"inf"', '"nan"')),
    "a short row": lambda path: path.write_text(path.read_text().replace('"perplexity", "inf"', '"perplexity"')),
    "renamed": _renamed,
    "a stranger": lambda path: path.with_name("notes.json").write_text("{}"),
    "a folder": lambda path: path.with_name("more").mkdir(),
    "deep": lambda path: path.write_text("[" * 100_000),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_no_cell_is_named(damage: str, task: Task, tmp_path: Path) -> None:
    CellFolder(tmp_path).put(task, cell_of(task))
    (path,) = (tmp_path / "cells").iterdir()
    DAMAGES[damage](path)
    with pytest.raises(ExperimentError, match=rf"{tmp_path}/cells/.* is not a whole cell.*; remove it and run"):
        CellFolder(tmp_path)


def test_requests_come_back_and_add_up(tmp_path: Path) -> None:
    one = request_for(EXPERIMENTS["one"], [entry()], BENCH)
    assert read_requests(tmp_path) == {}
    write_requests(tmp_path, {"one": one, "other": one})
    more = replace(one, models=(replace(entry(), name="llama"),), repeats=1)
    write_requests(tmp_path, {"one": more})
    found = read_requests(tmp_path)
    assert list(found) == ["one", "other"] and found["other"] == one
    assert [model.name for model in found["one"].models] == ["tiny-gpt2", "llama"] and found["one"].repeats == 3
    moved = replace(one, models=(replace(entry(), place="/elsewhere"),))
    assert write_requests(tmp_path, {"other": moved})["other"].models == moved.models  # the same weights
    strange = replace(one, models=(replace(entry(), place="/b/tiny-gpt2", origin="0"),))
    with pytest.raises(ExperimentError, match="/elsewhere and /b/tiny-gpt2 are both called 'tiny-gpt2'"):
        write_requests(tmp_path, {"other": strange})
    assert read_requests(tmp_path)["other"] == moved
    renewed = replace(more, code=replace(one.code, fingerprint="0"))
    assert write_requests(tmp_path, {"one": renewed})["one"] == renewed
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ExperimentError, match=r"run\.json does not say what was asked"):
        read_requests(tmp_path)


def test_a_request_that_measures_nothing_is_refused() -> None:
    one = EXPERIMENTS["one"]
    with pytest.raises(ExperimentError, match="0 repeats"):
        request_for(one, [entry()], BENCH, repeats=0)
    with pytest.raises(ExperimentError, match="give each once"):
        request_for(one, [entry(), entry()], BENCH)
    with pytest.raises(ExperimentError, match="series 'x': parameters cannot be written as JSON"):
        grid(made("odd", Series("x", "numbers", parameters={"what": object()})))
    with pytest.raises(ExperimentError, match=r"/no/such/file cannot be read"):
        SourceFiles.of("/no/such/file")
    with pytest.raises(ExperimentError, match="'no_such_module'"):
        request_for(one, [entry()], replace(BENCH, protocols="no_such_module:P"))


def test_files_are_known_by_what_is_in_them(tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    facts.write_text("1")
    files = SourceFiles.of(facts)
    assert files.is_current and files.facts_fingerprint and not files.texts_fingerprint
    facts.write_text("2")
    assert not files.is_current
    before = folder_fingerprint(tmp_path)
    (tmp_path / "README.md").write_text("no matter")
    assert folder_fingerprint(tmp_path) == before
    (tmp_path / "corpus.txt").write_text("matters")
    assert folder_fingerprint(tmp_path) != before


def test_an_editor_of_ones_own_is_part_of_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "editor_of_mine.py"
    module.write_text("A = 1\n")
    first = Code.now(BENCH, ["editor_of_mine:A", "rome"])
    assert first.is_current and first.fingerprint != Code.now(BENCH, ["rome"]).fingerprint
    module.write_text("A = 2\n")
    code_fingerprint.cache_clear()  # another process
    assert not first.is_current
    code_fingerprint.cache_clear()


def test_the_fingerprint_covers_all_that_protocols_import() -> None:
    """Follows imports from the measuring rooms; whatever is met must be in the fingerprint."""
    package = Path(kedit.__file__).parent
    covered = set(own_sources())
    data = {"paths", "files", "versions", "experiments.experiment"}  # places, files and types, no numbers
    for source in covered:
        if source.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kedit.")):
                continue
            name = str(node.module).removeprefix("kedit.")
            path = package.joinpath(*name.split("."))
            found = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            assert name in data or found in covered, f"{os.fspath(source)} imports {name}"
