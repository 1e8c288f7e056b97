# SPDX-License-Identifier: Apache-2.0
"""The suite's own data: every property has thresholds and a clause, every known failure a reason."""

from __future__ import annotations

import ast

import pytest

from kedit.editors import editor_names, load_editor
from kedit.gate.expectations import read_expectations
from kedit.gate.run import suite_folder
from kedit.gate.thresholds import Thresholds
from kedit.paths import tiny_models

PROPERTIES = {
    "contract.atomic-failure",
    "contract.batch-independence",
    "contract.deterministic",
    "contract.exact-undo",
    "contract.good-manners",
    "contract.pure-edit",
    "contract.rejects-bad-facts",
    "efficacy.distinct-batch",
    "efficacy.single",
    "locality.neighbors",
    "locality.perplexity",
    "longevity.repeat",
    "longevity.returning-subjects",
    "longevity.sequence",
    "mechanism.history-bound",
    "mechanism.history-identity",
    "mechanism.merged-value",
    "mechanism.same-key",
    "perturbation.density",
    "perturbation.homogeneous-sequence",
    "perturbation.same-subject-batch",
}
FAMILIES = ("contract", "efficacy", "locality", "longevity", "mechanism", "perturbation")


@pytest.fixture(scope="module")
def thresholds() -> Thresholds:
    return Thresholds.read(suite_folder() / "thresholds.toml")


def property_tests() -> list[tuple[str, ast.FunctionDef]]:
    """Ids and functions of all tests with the marker."""
    functions = [
        node
        for family in FAMILIES
        for path in sorted((suite_folder() / family).glob("test_*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    ]
    return [
        (ast.literal_eval(mark.args[0]), function)
        for function in functions
        for mark in function.decorator_list
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.editing_property"
    ]


def test_the_ids_are_fixed(thresholds):
    assert {property_id for property_id, _ in property_tests()} == PROPERTIES
    assert thresholds.properties == PROPERTIES


def test_every_property_says_what_why_and_where_from():
    for property_id, function in property_tests():
        text = ast.get_docstring(function) or ""
        assert "(" in text, property_id
        assert len(text.split()) >= 12, property_id


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
