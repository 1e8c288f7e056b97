# SPDX-License-Identifier: Apache-2.0
"""The files of a report: report.json for machines, report.md for a pull request, report.html to read."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from kedit.files import write_atomically
from kedit.gate.report import NAME, Report
from kedit.gate.report_page import report_page
from kedit.gate.results import STATUSES, number, parameter_text

__all__ = ["report_markdown", "write_reports"]


def write_reports(folder: Path, reports: Sequence[Report]) -> list[Path]:
    """Write the files of each report: into `folder`, or into a folder each if there are several; returns their paths.

    Files appear whole or not at all."""
    written = []
    for report in reports:
        place = folder if len(reports) == 1 else folder / re.sub(r"[^\w.-]+", "-", report.editor)
        data = json.dumps(report.as_data(), indent=1, allow_nan=False)
        files = {NAME: data + "\n", "report.md": report_markdown(report), "report.html": report_page(report)}
        for name, text in files.items():
            write_atomically(place / name, partial(Path.write_text, data=text, encoding="utf-8"))
            written.append(place / name)
    return written


def report_markdown(report: Report) -> str:
    """The content of report.md: remarks and the verdict, what needs reading first, then everything."""
    counts = {status: sum(r.status == status for r in report.results) for status in STATUSES}
    rows = [
        f"| {r.property} | {r.model} | {parameter_text(r.parameters)} | {number(r.measured)} "
        f"| {r.bound} {number(r.threshold)} {_cell(r.unit)} | {number(r.distance())} | {r.status} | {_cell(r.reason)} |"
        for r in sorted(report.results, key=lambda r: STATUSES.index(r.status))
    ]
    head = [
        *(line for note in report.notes for line in (f"**{_cell(note)}**", "")),
        f"# Editing properties of `{report.editor}`",
        "",
        _cell(report.verdict),
        "",
        ", ".join(f"{count} {status}" for status, count in counts.items()),
        "",
        "| property | model | parameters | measured | threshold | distance | status | reason |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
