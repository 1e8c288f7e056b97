# SPDX-License-Identifier: Apache-2.0
"""The page on writing an editor: its code runs and is accepted, its files are read, its table is true."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from kedit.editors import Tags
from kedit.gate.expectations import read_expectations
from kedit.gate.run import suite_folder
from kedit.gate.thresholds import Thresholds

PAGE = Path(__file__).parents[3] / "docs" / "writing-an-editor.md"


def code(language: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(rf"^( *)```{language}\n(.*?)^\1```", text, flags=re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in blocks]


def test_the_editor_of_the_page_is_accepted(run, pytester):
    (editor,) = code("python")
    pytester.makepyfile(mylab=editor)
    result = run(suite_folder(), "--editor", "mylab:RankOne", "--model", "tiny-gpt2")
    assert result.ret == 0
    assert result.outlines[-1] == "mylab:RankOne: accepted"


def test_the_editor_of_the_page_is_short_and_public():
    (editor,) = code("python")
    body = editor[editor.index("class ") :]
    assert sum(1 for line in body.splitlines() if line.strip()) <= 40
    assert not re.search(r"\b_[a-z]|\._[a-z]", editor)


def test_the_known_failure_of_the_page_is_valid(tmp_path):
    (known,) = code("toml")
    path = tmp_path / "known.toml"
    path.write_text(known, encoding="utf-8")
    (entry,) = read_expectations(path, "--expect", Thresholds.read(suite_folder() / "thresholds.toml"))
    assert entry.metric == "exact_match_gap"


def test_the_page_lists_every_tag_and_its_properties():
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert {tag for tag, _ in rows} == {field.name for field in dataclasses.fields(Tags)}
    needs: dict[str, set[str]] = {}
    for path in suite_folder().glob("*/test_*.py"):
        for property_id, tags in re.findall(
            r'editing_property\(\s*"([\w.-]+)",\s*needs=\(([^)]*)\)', path.read_text(encoding="utf-8")
        ):
            for tag in re.findall(r'"(\w+)"', tags):
                needs.setdefault(tag, set()).add(property_id)
    told = {tag: set(re.findall(r"`([a-z]+\.[a-z*-]+)`", text)) for tag, text in rows}
    for tag in ("batch", "sequential", "keyed", "grouped", "history"):
        found = {p for p in needs[tag] if not p.startswith(("contract.rejects", "contract.atomic"))}
        starred = {p.removesuffix("*") for p in told[tag] if p.endswith("*")}
        assert {p for p in found if p not in told[tag] and not p.startswith(tuple(starred) or ("-",))} <= (
            {"mechanism.history-identity", "mechanism.history-bound", "mechanism.merged-value"} - told[tag]
        )
        assert all(p in found or p.endswith("*") for p in told[tag]), tag


def test_the_command_line_of_the_page_exists():
    text = PAGE.read_text(encoding="utf-8")
    options = (Path(__file__).parents[3] / "kedit" / "gate" / "options.py").read_text(encoding="utf-8")
    for option in set(re.findall(r"`?(--(?:edit|expect|thresh|model)[a-z-]*)", text)):
        assert f'"{option}"' in options, option
    assert "kedit gate mylab:RankOne" in text


@pytest.mark.parametrize("family", ["contract"])
def test_the_rules_name_their_properties(family):
    text = PAGE.read_text(encoding="utf-8")
    known = Thresholds.read(suite_folder() / "thresholds.toml").properties
    named = set(re.findall(rf"`({family}\.[a-z-]+)`", text))
    assert named == {property_id for property_id in known if property_id.startswith(family)}
