# SPDX-License-Identifier: Apache-2.0
"""Whether thresholds separate good editors from bad ones: on three draws of facts and two training seeds at least, by
three times the spread.

    python -m kedit.gate.calibrate --training-seed 0 DIR... --training-seed 1 DIR... [--thresholds FILE] [--update]

reads the report.json files under the folders (made with `--editing-report DIR --editing-seed N --expect EMPTY`); the
folders behind one `--training-seed` are of models of that seed. The sides are the editors that a threshold names as
`good` and `bad`. The spread of a side is the standard deviation over draws of one editor on one model, pooled over
editors, models and training seeds; the larger of both sides counts. The flags:

    NO NUMBERS      a named editor was not measured
    FEW             fewer than three draws or two training seeds of some editor on some model
    NO SPREAD       no editor of the side has two draws on one model, so nothing tells how far draws scatter
    WRONG SIDE      a number of a good editor misses the threshold, or one of a bad editor meets it
    NEAR            the sides are nearer to each other than three spreads
    NEAR THE BOUND  the sides are far from each other, one of them is nearer to the threshold than three of its spreads

Exact requirements have no sides, nor has what is left to rounding; of these every number that meets the bound counts.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedit.gate.thresholds import Threshold, Thresholds

__all__ = ["Measured", "Separation", "Side", "main", "read_reports", "separations", "with_margins"]

SPREADS = 3.0
DRAWS = 3
TRAININGS = 2


@dataclass(frozen=True, slots=True)
class Measured:
    """One judged number: who, on which model of which training seed, on which draw, what."""

    editor: str
    model: str
    training: str
    draw: int
    property_id: str
    parameters: tuple[tuple[str, Any], ...]
    value: float

    @property
    def group(self) -> tuple[object, ...]:
        """What is the same in two numbers that differ by the draw only."""
        return self.editor, self.model, self.training, self.property_id, self.parameters


@dataclass(frozen=True, slots=True)
class Side:
    """The numbers of one side of a threshold.

    Attributes:
        nearest: the number nearest to the other side; of the good editors the worst, of the bad ones the best.
        spread: standard deviation over draws, pooled over groups; None if no group has two draws.
        draws, trainings: fewest draws of facts, and fewest training seeds, of an editor on a model.
        unmeasured: editors without a number.
    """

    nearest: Measured | None
    spread: float | None
    draws: int
    trainings: int
    unmeasured: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.nearest is None:
            return "none"
        spread = "" if self.spread is None else f" ± {self.spread:.3g}"
        who = f"{self.nearest.editor.rpartition(':')[2]}@{self.nearest.model}"
        return f"{self.nearest.value:.4g}{spread} ({who}, {self.draws} draws, {self.trainings} training seeds)"


@dataclass(frozen=True, slots=True)
class Separation:
    """What was measured around one threshold: its two sides; without declared sides all that meets it is `good`."""

    threshold: Threshold
    good: Side
    bad: Side

    def _beyond(self, side: Side) -> float:
        """Distance from the threshold to the side's nearest number; negative on the wrong side, and 0 of nothing."""
        if side.nearest is None:
            return 0.0
        above = side.nearest.value - self.threshold.value
        return above if (self.threshold.direction == "min") is (side is self.good) else -above

    @property
    def margin(self) -> float:
        """Distance from the threshold to the nearest number; 0 if one is on the wrong side."""
        return max(0.0, min((self._beyond(side) for side in (self.good, self.bad) if side.nearest), default=0.0))

    @property
    def gap(self) -> float:
        """Distance between the sides, negative if they overlap."""
        return self._beyond(self.good) + self._beyond(self.bad)

    @property
    def spread(self) -> float:
        """The larger spread of the two sides."""
        return max(side.spread or 0.0 for side in (self.good, self.bad))

    @property
    def separates(self) -> bool:
        """Whether every number is on its right side and the sides are three spreads apart."""
        return not set(self.flags) - {"NEAR THE BOUND"}

    @property
    def flags(self) -> tuple[str, ...]:
        """What is wrong, see the text of the module; empty for a clear threshold."""
        if self.threshold.basis != "sides":
            return ()
        sides = (self.good, self.bad)
        if any(side.unmeasured for side in sides):
            return ("NO NUMBERS",)
        # A bad number on the bound meets it.
        wrong = not self.threshold.met_by(_value(self.good)) or self.threshold.met_by(_value(self.bad))
        near = self.gap < SPREADS * self.spread
        close = any(self._beyond(side) < SPREADS * (side.spread or 0.0) for side in sides)
        found = {
            "FEW": any(side.draws < DRAWS or side.trainings < TRAININGS for side in sides),
            "NO SPREAD": any(side.spread is None for side in sides),
            "WRONG SIDE": wrong,
            "NEAR": near and not wrong,
            "NEAR THE BOUND": close and not near and not wrong,
        }
        return tuple(name for name, holds in found.items() if holds)

    def __str__(self) -> str:
        bound = self.threshold
        names = [f"{name}={value}" for name, value in bound.parameters.items()]
        sign = ">=" if bound.direction == "min" else "<="
        what = " ".join([bound.property, bound.metric, *names, *bound.models, f"{sign} {bound.value:g}"])
        if bound.basis != "sides":
            return f"{what}: {bound.basis}, nearest {self.good}, margin {self.margin:.3g}"
        unmeasured = [f", without numbers: {name}" for name in self.good.unmeasured + self.bad.unmeasured]
        tail = "".join(unmeasured + [f"  {flag}" for flag in self.flags])
        return f"{what}: good {self.good}, bad {self.bad}, gap {self.gap:.3g}, margin {self.margin:.3g}{tail}"


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
        report = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(report, dict) or report.get("schema") != 1:
            raise ValueError(f"{path}: not a report of schema 1; make it again with --editing-report")
        editor, draw = report["editor"], report["seed"]
        for row in report["results"]:
            if row["measured"] is None:
                continue
            parameters = tuple(sorted(row["parameters"].items()))
            value = float(row["measured"])
            one = Measured(editor, row["model"], training, draw, row["property"], parameters, value)
            other = seen.setdefault((one.group, draw), path)
            if other != path:
                raise ValueError(
                    f"{path}: {editor} on {one.model} of training seed {training}, draw {draw}, {one.property_id} "
                    f"is in {other} too and would count twice; leave one of them out"
                )
            found.append(one)
    return found


def separations(thresholds: Thresholds, measured: Sequence[Measured]) -> list[Separation]:
    """What was measured around each threshold, in the order of the file."""
    by_entry: dict[int, list[Measured]] = {id(entry): [] for entry in thresholds.entries}
    for one in measured:
        parameters = dict(one.parameters)
        entry = thresholds.find(one.property_id, parameters.pop("metric"), one.model, parameters)
        by_entry[id(entry)].append(one)
    return [_separation(entry, by_entry[id(entry)]) for entry in thresholds.entries]


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


def _separation(entry: Threshold, measured: Sequence[Measured]) -> Separation:
    if entry.basis != "sides":
        met = [one for one in measured if entry.met_by(one.value)]
        return Separation(
            entry, _side(met, {one.editor for one in met}, entry.direction == "max"), _side([], (), False)
        )
    upper = entry.direction == "max"
    return Separation(entry, _side(measured, entry.good, upper), _side(measured, entry.bad, not upper))


def _side(measured: Sequence[Measured], editors: Iterable[str], upper: bool) -> Side:
    """The numbers of these editors, the nearest of which is the largest (`upper`) or the smallest."""
    own = [one for one in measured if one.editor in editors]
    unmeasured = tuple(name for name in editors if not any(one.editor == name for one in own))
    nearest = (max if upper else min)(own, key=lambda one: one.value, default=None)
    draws: dict[tuple[str, str], set[int]] = {}
    trainings: dict[tuple[str, str], set[str]] = {}
    groups: dict[tuple[object, ...], list[float]] = {}
    for one in own:
        draws.setdefault((one.editor, one.model), set()).add(one.draw)
        trainings.setdefault((one.editor, one.model), set()).add(one.training)
        groups.setdefault(one.group, []).append(one.value)
    return Side(
        nearest,
        _pooled(groups.values()),
        min(map(len, draws.values()), default=0),
        min(map(len, trainings.values()), default=0),
        unmeasured,
    )


def _pooled(groups: Iterable[Sequence[float]]) -> float | None:
    """Standard deviation within groups, weighted by degrees of freedom; groups of one number say nothing."""
    repeated = [values for values in groups if len(values) > 1]
    freedom = sum(len(values) - 1 for values in repeated)
    squares = sum((len(values) - 1) * statistics.variance(values) for values in repeated)
    return math.sqrt(squares / freedom) if freedom else None


def _value(side: Side) -> float:
    return math.nan if side.nearest is None else side.nearest.value


if __name__ == "__main__":
    sys.exit(main())
