# SPDX-License-Identifier: Apache-2.0
"""The file of pitfalls: whole, and true to the properties and tests that it names."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from kedit.gate.pitfalls import Pitfall, PitfallError, read_pitfalls
from kedit.gate.run import suite_folder
from kedit.gate.thresholds import Thresholds

FOLDER = suite_folder()
PITFALLS = read_pitfalls(FOLDER / "pitfalls.toml")
GOOD = {"id": 1, "says": '"It fails."', "source": '"a/b#1"', "properties": '["efficacy.single"]', "tests": "[]"}


def written(tmp_path: Path, *entries: Mapping[str, Any]) -> Path:
    path = tmp_path / "pitfalls.toml"
    lines = [line for one in entries for line in ("[[pitfall]]", *(f"{name} = {text}" for name, text in one.items()))]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@cache
def names_in(file: str) -> frozenset[str]:
    """Names of the test functions of a file, without importing it; two of one name would hide one."""
    names = [
        node.name
        for node in ast.parse((FOLDER / file).read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert len(set(names)) == len(names), file
    return frozenset(names)


def test_all_seventy_stand_there_once_in_order() -> None:
    assert [one.id for one in PITFALLS] == list(range(1, 71))


@pytest.mark.parametrize("one", PITFALLS, ids=lambda one: str(one.id))
def test_what_a_pitfall_names_is_there(one: Pitfall) -> None:
    known = Thresholds.read(FOLDER / "thresholds.toml").properties
    assert sorted(set(one.properties) - known) == []
    for test in one.tests:
        file, name = test.split("::")
        assert file.startswith("library/")
        assert name in names_in(file), test
    assert len(set(one.tests)) == len(one.tests) and len(set(one.properties)) == len(one.properties)


def test_sentences_are_sentences_and_few_are_not_guarded() -> None:
    for one in PITFALLS:
        for text in (one.says, one.no_code) if one.no_code else (one.says,):
            assert text[-1] == "." and len(text) < 150, one.id
            assert text[0].isupper() or text.startswith("kedit "), one.id
    assert [one.id for one in PITFALLS if one.no_code] == [55, 56, 57]
    assert len({one.says for one in PITFALLS}) == len(PITFALLS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"says": None}, "pitfall 1: field 'says' is missing"),
        ({"id": None}, "pitfall at place 1: field 'id' is missing"),
        ({"id": '"1"'}, "pitfall 1: field 'id' is '1'; give a number"),
        ({"id": "true"}, "field 'id' is True; give a number"),
        ({"source": '" "'}, "pitfall 1: field 'source' is ' '; give a text"),
        ({"tests": '"a"'}, "pitfall 1: field 'tests' is 'a'; give a list of texts"),
        ({"properties": "[1]"}, r"pitfall 1: field 'properties' is \[1\]; give a list of texts"),
        ({"properties": "[]"}, "pitfall 1: give what guards against it"),
        ({"no_code": '"None."'}, "pitfall 1: give what guards against it in 'properties' or 'tests', or say"),
        ({"sees": "1"}, "pitfall 1: unknown field 'sees'; known: id, says, source, properties, tests, no_code"),
    ],
)
def test_an_entry_that_is_wrong_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    entry = {name: text for name, text in (GOOD | change).items() if text is not None}
    with pytest.raises(PitfallError, match=message):
        read_pitfalls(written(tmp_path, entry))


def test_files_that_are_none(tmp_path: Path) -> None:
    assert read_pitfalls(written(tmp_path, GOOD)) == (Pitfall(1, "It fails.", "a/b#1", ("efficacy.single",), ()),)
    with pytest.raises(PitfallError, match="pitfall 1: field 'id' stands twice"):
        read_pitfalls(written(tmp_path, GOOD, GOOD))
    with pytest.raises(PitfallError, match=r"has no \[\[pitfall\]\] entry"):
        read_pitfalls(written(tmp_path))
    with pytest.raises(PitfallError, match="cannot be read"):
        read_pitfalls(tmp_path / "none.toml")
    (tmp_path / "pitfalls.toml").write_text("[[")
    with pytest.raises(PitfallError, match="cannot be read"):
        read_pitfalls(tmp_path / "pitfalls.toml")
