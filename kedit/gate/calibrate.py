# SPDX-License-Identifier: Apache-2.0
"""How far measured numbers stay from their thresholds, over draws, models and training seeds.

    python -m kedit.gate.calibrate REPORT_DIR... [--thresholds FILE] [--update]

reads the report.json files under the folders (made with `--editing-report DIR --editing-seed N --expect EMPTY`), prints
for every threshold the numbers on its good and on its bad side. NEAR marks sides that are nearer to each other than
three times the spread (or, with one side only, to the threshold), NEAR THE BOUND a number that is nearer than this to
the threshold. The spread is the largest standard deviation of one editor on one model over its reports.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedit.gate.thresholds import Threshold, Thresholds

__all__ = ["Separation", "main", "separations", "with_margins"]

SPREADS = 3.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One judged number: who, where, what."""

    editor: str
    model: str
    property: str
    parameters: Mapping[str, Any]
    value: float


@dataclass(frozen=True, slots=True)
class Separation:
    """What was measured around one threshold.

    Attributes:
        threshold: the bound.
        good: (nearest value, who) among those that meet it; None if none does.
        bad: the same among those that miss it.
        spread: largest standard deviation of one editor on one model over its reports; 0 with one report.
        n: how many numbers.
    """

    threshold: Threshold
    good: tuple[float, str] | None
    bad: tuple[float, str] | None
    spread: float
    n: int

    @property
    def margin(self) -> float:
        """Distance from the threshold to the nearest measured number; 0 if nothing was measured."""
        near = [abs(side[0] - self.threshold.value) for side in (self.good, self.bad) if side is not None]
        return min(near, default=0.0)

    @property
    def gap(self) -> float:
        """Distance between the sides; the margin if there is one side only."""
        return self.margin if self.good is None or self.bad is None else abs(self.good[0] - self.bad[0])

    @property
    def separates(self) -> bool:
        """Whether the sides are at least three spreads apart."""
        return self.gap >= SPREADS * self.spread

    @property
    def is_clear(self) -> bool:
        """Whether every number is at least three spreads away from the threshold."""
        return self.margin >= SPREADS * self.spread

    def __str__(self) -> str:
        bound = self.threshold
        names = [f"{name}={value}" for name, value in bound.parameters.items()]
        sign = ">=" if bound.direction == "min" else "<="
        what = " ".join([bound.property, bound.metric, *names, *bound.models, f"{sign} {bound.value:g}"])
        sides = f"good {_side(self.good)}, bad {_side(self.bad)}"
        flag = "" if self.is_clear else "  NEAR THE BOUND" if self.separates else "  NEAR"
        return (
            f"{what}: {sides}, gap {self.gap:.3g}, margin {self.margin:.3g}, spread {self.spread:.3g}, n {self.n}{flag}"
        )


def read_reports(folders: Iterable[Path]) -> list[Measured]:
    """All judged numbers of all report.json files under the folders.

    Raises:
        ValueError: a file that is not a report.
    """
    found = []
    for path in sorted(path for folder in folders for path in folder.rglob("report.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(report, dict) or report.get("schema") != 1:
            raise ValueError(f"{path}: not a report of schema 1; make it again with --editing-report")
        for row in report["results"]:
            if row["measured"] is not None:
                measured = float(row["measured"])
                found.append(Measured(report["editor"], row["model"], row["property"], row["parameters"], measured))
    return found


def separations(thresholds: Thresholds, measured: Sequence[Measured]) -> list[Separation]:
    """What was measured around each threshold, in the order of the file."""
    by_entry: dict[int, list[Measured]] = {id(entry): [] for entry in thresholds.entries}
    for one in measured:
        parameters = {name: value for name, value in one.parameters.items() if name != "metric"}
        entry = thresholds.find(one.property, one.parameters["metric"], one.model, parameters)
        by_entry[id(entry)].append(one)
    return [_separation(entry, by_entry[id(entry)]) for entry in thresholds.entries]


def with_margins(text: str, found: Sequence[Separation]) -> str:
    """The thresholds file with the `margin` of every inexact entry as measured."""
    margins = iter(found)

    def fill(match: re.Match[str]) -> str:
        one = next(margins)
        return match[0] if one.threshold.source == "exact requirement" else f"margin = {float(f'{one.margin:.3g}')}"

    return re.sub(r"^margin = .*$", fill, text, flags=re.MULTILINE)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the separations; returns 1 if a threshold is nearer than three spreads to a number."""
    parser = argparse.ArgumentParser(prog="python -m kedit.gate.calibrate", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="folders with report.json files")
    parser.add_argument("--thresholds", type=Path, help="thresholds file (default: the suite's)")
    parser.add_argument("--update", action="store_true", help="write the measured margins into the thresholds file")
    options = parser.parse_args(argv)
    path = options.thresholds
    if path is None:
        from kedit.gate.run import suite_folder

        path = suite_folder() / "thresholds.toml"
    found = separations(Thresholds.read(path), read_reports(options.folders))
    for one in found:
        sys.stdout.write(f"{one}\n")
    if options.update:
        path.write_text(with_margins(path.read_text(encoding="utf-8"), found), encoding="utf-8")
    return 0 if all(one.is_clear for one in found) else 1


def _separation(entry: Threshold, measured: Sequence[Measured]) -> Separation:
    good = [(one.value, f"{one.editor}@{one.model}") for one in measured if entry.met_by(one.value)]
    bad = [(one.value, f"{one.editor}@{one.model}") for one in measured if not entry.met_by(one.value)]
    groups: dict[tuple[object, ...], list[float]] = {}
    for one in measured:
        groups.setdefault((one.editor, one.model, *sorted(map(str, one.parameters.items()))), []).append(one.value)
    spread = max((statistics.stdev(values) for values in groups.values() if len(values) > 1), default=0.0)
    return Separation(entry, _nearest(good, entry.value), _nearest(bad, entry.value), spread, len(measured))


def _nearest(side: Sequence[tuple[float, str]], value: float) -> tuple[float, str] | None:
    return min(side, key=lambda pair: abs(pair[0] - value), default=None)


def _side(side: tuple[float, str] | None) -> str:
    return "none" if side is None else f"{side[0]:.4g} ({side[1]})"


if __name__ == "__main__":
    sys.exit(main())
