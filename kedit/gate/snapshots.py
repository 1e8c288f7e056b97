# SPDX-License-Identifier: Apache-2.0
"""Metric tables compared with stored ones, each cell with a tolerance that stands in the stored file."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from syrupy.data import SnapshotCollections
from syrupy.extensions.json import JSONSnapshotExtension
from syrupy.location import PyTestLocation

from kedit.editors.registry import BUILT_IN
from kedit.gate.cases import Case

__all__ = ["OWN_FOLDER", "MetricTable", "NamedEditorTable", "OwnTable", "table", "table_of"]

# Where the tables of an editor that is not built in are, under the folder in which pytest is started.
OWN_FOLDER = "editing-snapshots"

Cells = Mapping[str, Mapping[str, Mapping[str, float]]]


def table(rows: Mapping[str, Mapping[str, float]], tolerances: Mapping[str, float]) -> dict[str, Any]:
    """What a test compares: row -> column -> value and absolute tolerance.

    Args:
        rows: row -> column -> number.
        tolerances: column -> absolute tolerance of numbers up to 1, written into the file when it is made; that of
            larger ones grows with them.

    Raises:
        KeyError: a column without a tolerance.
    """
    return {
        row: {
            column: {"value": round(value, 6), "atol": round(tolerances[column] * max(1.0, abs(value)), 6)}
            for column, value in columns.items()
        }
        for row, columns in rows.items()
    }


class MetricTable(JSONSnapshotExtension):
    """A JSON file a table; a number matches if it is within the stored tolerance of the stored number.

    A table that matches is not rewritten by an update, so that stored numbers do not drift by small steps.
    """

    def matches(self, *, serialized_data: Any, snapshot_data: Any) -> bool:
        """Whether every cell is within its tolerance and no cell is missing or new."""
        return not list(_differences(json.loads(serialized_data), json.loads(snapshot_data)))

    def diff_lines(self, serialized_data: Any, snapshot_data: Any) -> Iterator[str]:
        """One line for each cell that differs, and nothing about the others."""
        stored = json.loads(snapshot_data) if snapshot_data else {}
        yield from _differences(json.loads(serialized_data), stored)


class NamedEditorTable(MetricTable):
    """The table of an editor that was named: nothing is looked for, missed or deleted but the table itself."""

    def discover_snapshots(
        self, *, test_location: PyTestLocation, ignore_extensions: list[str] | None = None
    ) -> SnapshotCollections:
        """None: what is stored beside it belongs to other editors."""
        return SnapshotCollections()


class OwnTable(NamedEditorTable):
    """The table of an editor in its user's folder, a file for each editor and model."""

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        """`--editing-tables-dir`, or `editing-snapshots`."""
        config = test_location.item.config
        return str(config.invocation_params.dir / (config.getoption("gate_tables_folder") or OWN_FOLDER))

    @classmethod
    def get_file_basename(cls, *, test_location: PyTestLocation, index: int | str) -> str:  # noqa: ARG003
        """`mylab.editors-MyEditor@tiny-gpt2`."""
        case = test_location.item.callspec.params["gate_case"]  # type: ignore[attr-defined]  # a pytest.Function
        return re.sub(r"[^\w.@-]+", "-", str(case))

    @classmethod
    def matches_test_location(cls, *, test_location: PyTestLocation, snapshot_location: str) -> bool:
        """Whether the table of this test is at this place."""
        return cls.get_location(test_location=test_location, index=0) == snapshot_location


def table_of(case: Case, config: pytest.Config) -> type[MetricTable]:
    """Which table a case is compared with: the shipped one for a built-in editor, unless a folder is named."""
    if not config.getoption("gate_editors"):
        return MetricTable
    own = case.editor not in BUILT_IN or config.getoption("gate_tables_folder")
    return OwnTable if own else NamedEditorTable


def _differences(found: Cells, stored: Cells) -> Iterator[str]:
    for row in dict.fromkeys([*stored, *found]):
        now, before = found.get(row, {}), stored.get(row, {})
        for column in dict.fromkeys([*before, *now]):
            cell = f"{row}, {column}"
            if column not in now:
                yield f"{cell}: not measured, stored {before[column]['value']:.4g}"
            elif column not in before:
                yield f"{cell}: {now[column]['value']:.4g}, not stored"
            elif not _near(now[column]["value"], before[column]["value"], before[column]["atol"]):
                stood = before[column]
                yield f"{cell}: {now[column]['value']:.4g}, stored {stood['value']:.4g} ± {stood['atol']:.4g}"


def _near(one: float, other: float, atol: float) -> bool:
    return one == other or math.isclose(one, other, rel_tol=0.0, abs_tol=atol + 1e-12)
