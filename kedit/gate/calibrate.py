# SPDX-License-Identifier: Apache-2.0
"""Whether thresholds separate good editors from bad ones: on three draws of facts and two training seeds at least, by
three times the spread.

    python -m kedit.gate.calibrate --training-seed 0 DIR... --training-seed 1 DIR... [--thresholds FILE] [--update]

reads the report.json files under the folders (made with `--editing-report DIR --editing-seed N --expect EMPTY`); the
folders behind one `--training-seed` are of models of that seed. The sides are the editors that a threshold names as
`good` and `bad`. The spread of an editor is its standard deviation over draws and training seeds on one model, pooled
over models. Between a good and a bad editor lies the distance of their nearest means over draws, each on its own model;
it must be three times the larger of their spreads. Ratios are compared by their logarithms. The flags:

    NO NUMBERS      a named editor was not measured
    FEW             fewer than three draws or two training seeds of some editor on some model
    WRONG SIDE      a number of a good editor misses the threshold, or one of a bad editor meets it
    NEAR            a good and a bad editor are nearer to each other than three spreads
    NEAR THE BOUND  all are far from each other, some number is nearer to the threshold than three of its spreads

Exact requirements have no sides, nor has what is left to rounding; of these every number that meets the bound counts.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kedit.gate.separation import Measured, Separation, separations
from kedit.gate.thresholds import Thresholds

__all__ = ["main", "read_report", "read_reports", "with_margins"]


def read_reports(folders: Iterable[tuple[str, Path]]) -> list[Measured]:
    """All judged numbers of all report.json files under the folders, each given with its training seed.

    Raises:
        ValueError: a file that is not a report, no report at all, or two reports of one draw.
    """
    found: list[Measured] = []
    seen: dict[tuple[object, ...], Path] = {}
    files = [(training, path) for training, folder in folders for path in sorted(folder.rglob("report.json"))]
    if not files:
        raise ValueError("no report.json under the folders; make reports with --editing-report DIR")
    for training, path in files:
        report = read_report(path)
        editor, draw = report["editor"], report["seed"]
        for row in report["results"]:
            if row["measured"] is None:
                continue
            parameters = tuple(sorted(row["parameters"].items()))
            value = float(row["measured"])
            one = Measured(editor, row["model"], training, draw, row["property"], parameters, value)
            other = seen.setdefault((*one.group, training, draw), path)
            if other != path:
                raise ValueError(
                    f"{path}: {editor} on {one.model} of training seed {training}, draw {draw}, {one.property_id} "
                    f"is in {other} too and would count twice; leave one of them out"
                )
            found.append(one)
    return found


def read_report(path: Path) -> Mapping[str, Any]:
    """The content of one report.json.

    Raises:
        ValueError: the file is not a report.
    """
    report = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(report, dict) or report.get("schema") != 1:
        raise ValueError(f"{path}: not a report of schema 1; make it again with --editing-report")
    return report


def with_margins(text: str, found: Sequence[Separation]) -> str:
    """The thresholds file with the `margin` of every inexact entry as measured."""
    margins = iter(found)

    def fill(match: re.Match[str]) -> str:
        one = next(margins)
        return match[0] if one.threshold.basis == "exact" else f"margin = {float(f'{one.margin:.3g}')}"

    return re.sub(r"^margin = .*$", fill, text, flags=re.MULTILINE)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the separations; returns 1 if a threshold is flagged."""
    parser = argparse.ArgumentParser(
        prog="python -m kedit.gate.calibrate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--training-seed",
        dest="reports",
        nargs="+",
        action="append",
        required=True,
        metavar=("N", "DIR"),
        help="folders with reports of models of training seed N (repeatable)",
    )
    parser.add_argument("--thresholds", type=Path, help="thresholds file (default: the suite's)")
    parser.add_argument("--update", action="store_true", help="write the measured margins into the thresholds file")
    options = parser.parse_args(argv)
    path = options.thresholds
    if path is None:
        from kedit.gate.run import suite_folder

        path = suite_folder() / "thresholds.toml"
    folders = [(training, Path(folder)) for training, *places in options.reports for folder in places]
    found = separations(Thresholds.read(path), read_reports(folders))
    for one in found:
        sys.stdout.write(f"{one}\n")
    if options.update:
        path.write_text(with_margins(path.read_text(encoding="utf-8"), found), encoding="utf-8")
    return 1 if any(one.flags for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
