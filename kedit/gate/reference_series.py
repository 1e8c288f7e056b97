# SPDX-License-Identifier: Apache-2.0
"""Curves of MEMIT and MEMIT-Merge, as the gate measured them with seed 0, to stand beside any editor's.

They are made again by a run of the gate for each of the two and

    python -m kedit.gate.reference_series DIR_OF_MEMIT DIR_OF_MEMIT_MERGE

with the folders of `--editing-report`; `-k "same_subject or homogeneous or test_sequence"` is enough of a run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kedit.files import write_atomically
from kedit.gate.report import FIRST_EDIT, SAME_SUBJECT, SEQUENCE, Report, read_report

__all__ = ["main", "reference_series"]

_FILE = Path(__file__).with_name("reference_series.json")
_KEPT = (SAME_SUBJECT, FIRST_EDIT, SEQUENCE)
_DIGITS = 4


@cache
def reference_series() -> Mapping[str, Report]:
    """Editor -> a report with the stored series and no results."""
    stored = json.loads(_FILE.read_text(encoding="utf-8"))
    reports = [Report.from_data(one, f"{_FILE.name}: report {number}") for number, one in enumerate(stored, 1)]
    return MappingProxyType({report.editor: report for report in reports})


def stored_data(report: Report) -> dict[str, Any]:
    """What is kept of a report: the series that figures compare, rounded, with seed, models and versions."""
    series = tuple(replace(one, data=_rounded(one.data)) for one in report.series if one.name in _KEPT)
    kept = Report(
        editor=report.editor,
        verdict="",
        results=(),
        series=series,
        models=report.models,
        seed=report.seed,
        versions=report.versions,
    )
    return kept.as_data()


def main(argv: Sequence[str] | None = None) -> int:
    """Write the stored curves from reports; returns 2 for files that are no reports."""
    parser = argparse.ArgumentParser(
        prog="python -m kedit.gate.reference_series",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="folders with a report.json")
    parser.add_argument("--out", type=Path, default=_FILE, help="file to write (default: the package's)")
    options = parser.parse_args(argv)
    try:
        stored = [stored_data(read_report(folder)) for folder in options.folders]
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    text = json.dumps(stored, separators=(",", ":"), allow_nan=False) + "\n"
    write_atomically(options.out, lambda part: part.write_text(text, encoding="utf-8"))
    return 0


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, Mapping):
        return {name: _rounded(inner) for name, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(main())
