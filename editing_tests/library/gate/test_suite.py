# SPDX-License-Identifier: Apache-2.0
"""The suite's own data: every property has thresholds and a clause, every known failure a reason."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from kedit.editors import editor_names, load_editor
from kedit.gate.catalogue import PropertyEntry, catalogue
from kedit.gate.expectations import read_expectations
from kedit.gate.run import suite_folder
from kedit.gate.thresholds import Thresholds
from kedit.paths import tiny_models


@pytest.fixture(scope="module")
def thresholds() -> Thresholds:
    return Thresholds.read(suite_folder() / "thresholds.toml")


@pytest.fixture(scope="module")
def entries(thresholds) -> tuple[PropertyEntry, ...]:
    return catalogue(suite_folder(), thresholds)


def vanished(published: Iterable[str], present: Iterable[str], changelog: str) -> list[str]:
    """Ids that were published, are not there, and whose end the changelog does not tell."""
    return [name for name in published if name not in set(present) and f"Removed `{name}`" not in changelog]


def test_no_published_id_disappears_silently(entries):
    root = suite_folder().parent
    published = (suite_folder() / "properties.txt").read_text(encoding="utf-8").split()
    present = [entry.id for entry in entries]
    assert not vanished(published, present, (root / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert set(present) <= set(published), "add the new id to editing_tests/properties.txt"
    assert published == sorted(set(published))


def test_a_vanished_id_is_told():
    assert vanished(["a.b", "c.d"], ["c.d"], "- Removed `c.e`.") == ["a.b"]
    assert not vanished(["a.b", "c.d"], ["c.d"], "- Removed `a.b`: no editor failed it.")


def test_every_property_says_what_why_and_where_from(entries):
    for entry in entries:
        assert entry.sources, entry.id
        assert all(len(sentence.split()) >= 12 for sentence in entry.sentences), entry.id


def test_every_threshold_has_unit_source_and_margin(thresholds):
    for entry in thresholds.entries:
        assert entry.unit
        assert entry.source
        assert entry.margin >= 0


def test_the_sides_of_thresholds_are_editors_and_every_reference_is_one(thresholds):
    named = {name for entry in thresholds.entries for name in entry.good + entry.bad}
    for name in named:
        load_editor(name)
    files = {path.stem for path in (suite_folder() / "references").glob("[!_]*.py")}
    assert files == {name.split(":")[0].rpartition(".")[2] for name in named - set(editor_names())}


@pytest.mark.parametrize("name", editor_names())
def test_every_built_in_editor_ships_its_known_failures(name, thresholds):
    path = suite_folder() / "expectations" / f"{name}.toml"
    for entry in read_expectations(path, "expectations", thresholds):
        assert len(entry.reason.split()) >= 4, entry.origin


def test_every_editor_has_a_stored_table_on_every_tiny_model_and_none_is_stray():
    stored = {path.stem for path in (suite_folder() / "tables" / "__snapshots__" / "test_metric_tables").iterdir()}
    assert stored == {f"test_metric_table[{name}@{model}]" for name in editor_names() for model in tiny_models()}
