# SPDX-License-Identifier: Apache-2.0
"""Metric tables compared with stored ones, each cell with a tolerance that stands in the stored file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from syrupy.extensions.json import JSONSnapshotExtension

__all__ = ["MetricTable", "table"]

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
