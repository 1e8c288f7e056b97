# SPDX-License-Identifier: Apache-2.0
"""report.json for machines and report.md for a pull request."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kedit.gate.results import Result, number, parameter_text
from kedit.versions import versions

__all__ = ["SCHEMA", "report_data", "report_markdown", "write_reports"]

SCHEMA = 1


def write_reports(
    folder: Path, results: Mapping[str, Sequence[Result]], *, seed: int, notes: Sequence[str] = ()
) -> list[Path]:
    """Write both files for each editor: into `folder`, or into a folder each if there are several editors.

    Args:
        folder: made if it is not there.
        results: the rows of each editor.
        seed: of all draws.
        notes: what a reader must know first, such as loosened thresholds.
    """
    written = []
    for editor, rows in results.items():
        place = folder if len(results) == 1 else folder / re.sub(r"[^\w.-]+", "-", editor)
        place.mkdir(parents=True, exist_ok=True)
        data = json.dumps(report_data(editor, rows, seed=seed, notes=notes), indent=1, allow_nan=False)
        for name, text in (("report.json", data + "\n"), ("report.md", report_markdown(editor, rows, notes))):
            (place / name).write_text(text, encoding="utf-8")
            written.append(place / name)
    return written


def report_data(editor: str, results: Sequence[Result], *, seed: int, notes: Sequence[str] = ()) -> dict[str, Any]:
    """The content of report.json, schema 1; a measured number that is not finite is written as null."""
    return {
        "schema": SCHEMA,
        "editor": editor,
        "versions": versions(),
        "device": "cpu",
        "seed": seed,
        "notes": list(notes),
        "results": [_finite(result.as_row()) for result in results],
    }


def report_markdown(editor: str, results: Sequence[Result], notes: Sequence[str] = ()) -> str:
    """The content of report.md: what needs reading first, then everything."""
    counts = {status: sum(r.status == status for r in results) for status in ("passed", "failed", "xfailed", "skipped")}
    rows = [
        f"| {r.property} | {r.model} | {parameter_text(r.parameters)} | {number(r.measured)} "
        f"| {r.bound} {number(r.threshold)} | {r.status} | {_cell(r.reason)} |"
        for r in sorted(results, key=lambda r: ("failed", "xfailed", "passed", "skipped").index(r.status))
    ]
    head = [
        *([f"**{'; '.join(notes)}**", ""] if notes else []),
        f"# Editing properties of `{editor}`",
        "",
        ", ".join(f"{count} {status}" for status, count in counts.items()),
        "",
        "| property | model | parameters | measured | threshold | status | reason |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    measured = row["measured"]
    if measured is not None and not math.isfinite(measured):
        row.update(measured=None, reason=f"measured {measured}; {row['reason']}".rstrip("; "))
    return row


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
