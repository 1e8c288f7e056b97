# SPDX-License-Identifier: Apache-2.0
"""Editors that are broken on purpose are caught, each by the properties that it names; every property catches one."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import editing_tests.mutants
from editing_tests.mutants.catalogue import MUTANTS, SURVIVORS, Mutant
from editing_tests.mutants.patching import Patched
from editing_tests.mutants.verdicts import idle, incredible, uncaught
from kedit.editors import editor_names, load_editor
from kedit.editors.memit import Memit
from kedit.gate.expectations import Expectation, read_expectations
from kedit.gate.run import suite_folder
from kedit.gate.thresholds import Thresholds

DATA = suite_folder() / "mutants" / "matrix.json"
HANDFULS = 6
LEAST = 40
EVERY = (*MUTANTS, *SURVIVORS)


@pytest.fixture(scope="module")
def thresholds() -> Thresholds:
    return Thresholds.read(suite_folder() / "thresholds.toml")


@pytest.fixture(scope="module")
def known(thresholds: Thresholds) -> Mapping[str, Sequence[Expectation]]:
    files = {name: suite_folder() / "expectations" / f"{name}.toml" for name in editor_names()}
    return {name: read_expectations(path, "expectations", thresholds) for name, path in files.items()}


@pytest.mark.parametrize("handful", range(HANDFULS))
def test_mutants_are_caught_by_the_properties_they_name(handful: int, tmp_path: Path) -> None:
    chosen, out = MUTANTS[handful::HANDFULS], tmp_path / "cells.json"
    call = [sys.executable, "-m", "editing_tests.mutants.matrix", "--out", str(out), "--only"]
    ended = subprocess.run(
        [*call, *(mutant.name for mutant in chosen)],
        cwd=suite_folder().parent,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    lines = uncaught(chosen, json.loads(out.read_text(encoding="utf-8"))["cells"])
    assert not lines, "\n".join(lines)


def test_no_parent_fails_where_its_mutant_must(known: Mapping[str, Sequence[Expectation]]) -> None:
    lines = incredible(MUTANTS, known)
    assert not lines, "\n".join(lines)


def test_every_property_catches_something(thresholds: Thresholds, known: Mapping[str, Sequence[Expectation]]) -> None:
    assert {name for mutant in MUTANTS for name in mutant.caught_by} <= thresholds.properties
    lines = idle(thresholds.properties, MUTANTS, known)
    assert not lines, "\n".join(lines)


def test_the_stored_matrix_is_of_these_mutants() -> None:
    stored = json.loads(DATA.read_text(encoding="utf-8"))
    cells, every = stored["cells"], [*MUTANTS, *(SURVIVORS if stored["full"] else ())]
    assert {name: set(models) for name, models in cells.items()} == {m.name: set(m.models) for m in every}
    assert not uncaught(MUTANTS, cells)
    for mutant in SURVIVORS:  # one that is caught has become a mutant
        assert not any(cells.get(mutant.name, {}).values()), mutant.name


def test_the_catalogue_names_every_mutant_once() -> None:
    assert len(MUTANTS) >= LEAST
    assert len({mutant.name for mutant in EVERY}) == len(EVERY)
    package = editing_tests.mutants
    modules = [
        importlib.import_module(f"{package.__name__}.{file.name}") for file in pkgutil.iter_modules(package.__path__)
    ]
    written = {
        member
        for module in modules
        for member in vars(module).values()
        if inspect.isclass(member) and hasattr(member, "edit") and member.__module__ == module.__name__
    }
    helpers = {one for one in written if one.__module__.endswith(".patching")}
    assert written - helpers == {mutant.editor for mutant in EVERY}


@pytest.mark.parametrize("mutant", EVERY, ids=lambda mutant: mutant.name)
def test_a_mutant_looks_like_its_parent(mutant: Mutant) -> None:
    editor, parent = load_editor(mutant.path), load_editor(mutant.of)
    assert (editor.name, editor.tags) == (parent.name, parent.tags)
    assert len(mutant.wrong.split()) >= 4
    assert mutant.wrong.endswith(".")
    assert bool(mutant.caught_by) != bool(mutant.survives)


def refuse(_right: Any, *_args: Any, **_kwargs: Any) -> None:
    raise ZeroDivisionError


class Broken(Patched, Memit):
    """Nothing can be edited."""

    wrong = (("kedit.editors.memit.rewrite", refuse),)


def test_a_patched_function_comes_back_also_after_an_error() -> None:
    import kedit.editors.memit as home
    from editing_tests.library.editors.examples import ADA, COMMON, model_of

    before = home.rewrite
    with pytest.raises(ZeroDivisionError):
        Broken(**COMMON, layers=[1], ridge=1.0).edit(model_of("gpt2"), [ADA])
    assert home.rewrite is before


ONE = Mutant(Broken, ("efficacy.single",))


@pytest.mark.parametrize(
    ("found", "line"),
    [
        ({}, "survives"),
        ({"contract.pure-edit": "judged"}, "efficacy.single does not catch it; caught by contract.pure-edit"),
        ({"efficacy.single": "raised"}, "efficacy.single is said to have raised"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(found: dict[str, str], line: str) -> None:
    (said,) = uncaught([ONE], {"Broken": {"tiny-gpt2": found}})
    assert said.startswith("Broken on tiny-gpt2: Nothing can be edited. ")
    assert line in said
    assert not uncaught([ONE], {"Broken": {"tiny-gpt2": {"efficacy.single": "judged"}}})


def test_a_mutant_of_an_editor_that_fails_the_same_proves_nothing() -> None:
    entry = Expectation("efficacy.single", "it never did", models=("tiny-gpt2",))
    (line,) = incredible([ONE], {"memit": [entry]})
    assert "which fails there as well (it never did)" in line
    assert not incredible([ONE], {"memit": [Expectation("efficacy.single", "elsewhere", models=("tiny-llama",))]})


def test_a_property_that_catches_nothing_is_named() -> None:
    known = {"memit": [Expectation("longevity.repeat", "it never did")]}
    assert idle(["efficacy.single", "longevity.repeat", "contract.idle"], [ONE], known) == [
        "contract.idle catches neither a mutant nor a published failure"
    ]
