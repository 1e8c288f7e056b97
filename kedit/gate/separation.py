# SPDX-License-Identifier: Apache-2.0
"""How far good and bad editors lie apart at each threshold; what the words mean is told in `kedit.gate.calibrate`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from kedit.gate.thresholds import Threshold, Thresholds

__all__ = ["Measured", "Scatter", "Separation", "Side", "separations"]

SPREADS = 3.0
DRAWS = 3
TRAININGS = 2
SMALLEST_RATIO = 1e-12


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
        """What is the same in two numbers that differ by draw and training seed only."""
        return self.editor, self.model, self.property_id, self.parameters


@dataclass(frozen=True, slots=True)
class Scatter:
    """One editor: its mean over draws nearest to the other side, and its pooled standard deviation (None of single
    draws), both on the threshold's scale."""

    editor: str
    mean: float
    spread: float | None


@dataclass(frozen=True, slots=True)
class Side:
    """The numbers of one side of a threshold.

    Attributes:
        nearest: the number nearest to the other side; of the good editors the worst, of the bad ones the best.
        editors: one by one.
        draws, trainings: fewest draws of facts, and fewest training seeds, of an editor on a model.
        unmeasured: editors without a number.
    """

    nearest: Measured | None
    editors: tuple[Scatter, ...]
    draws: int
    trainings: int
    unmeasured: tuple[str, ...] = ()

    @property
    def spread(self) -> float:
        """The spread of the editor with the nearest number; 0 if there is none."""
        own = [one.spread for one in self.editors if self.nearest is not None and one.editor == self.nearest.editor]
        return (own[0] if own else None) or 0.0

    def __str__(self) -> str:
        if self.nearest is None:
            return "none"
        who = f"{self.nearest.editor.rpartition(':')[2]}@{self.nearest.model}"
        return (
            f"{self.nearest.value:.4g} ± {self.spread:.3g} ({who}, {self.draws} draws, {self.trainings} training seeds)"
        )


@dataclass(frozen=True, slots=True)
class Separation:
    """What was measured around one threshold: its two sides; without declared sides all that meets it is `good`."""

    threshold: Threshold
    good: Side
    bad: Side

    def _beyond(self, side: Side, *, scaled: bool = False) -> float:
        """Distance from the threshold to the side's nearest number; negative on the wrong side, and 0 of nothing."""
        if side.nearest is None:
            return 0.0
        scale = partial(_scaled, self.threshold) if scaled else float
        above = scale(side.nearest.value) - scale(self.threshold.value)
        return above if (self.threshold.direction == "min") is (side is self.good) else -above

    @property
    def margin(self) -> float:
        """Distance from the threshold to the nearest number; 0 if one is on the wrong side."""
        return max(0.0, min((self._beyond(side) for side in (self.good, self.bad) if side.nearest), default=0.0))

    @property
    def spreads(self) -> float:
        """Distance between a good and a bad editor in spreads, of the nearest pair; negative if they overlap."""
        sign = 1.0 if self.threshold.direction == "min" else -1.0
        distances = []
        for good in self.good.editors:
            for bad in self.bad.editors:
                gap, spread = sign * (good.mean - bad.mean), max(good.spread or 0.0, bad.spread or 0.0)
                distances.append(gap / spread if spread else math.copysign(math.inf, gap))
        return min(distances, default=math.nan)

    @property
    def separates(self) -> bool:
        """Whether every number is on its right side, and all good editors three spreads from all bad ones."""
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
        near = self.spreads < SPREADS
        close = any(self._beyond(side, scaled=True) < SPREADS * side.spread for side in sides)
        found = {
            "FEW": any(side.draws < DRAWS or side.trainings < TRAININGS for side in sides),
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
        distance = f"{self.spreads:.3g} spreads apart"
        return f"{what}: good {self.good}, bad {self.bad}, {distance}, margin {self.margin:.3g}{tail}"


def separations(thresholds: Thresholds, measured: Sequence[Measured]) -> list[Separation]:
    """What was measured around each threshold, in the order of the file."""
    by_entry: dict[int, list[Measured]] = {id(entry): [] for entry in thresholds.entries}
    for one in measured:
        parameters = dict(one.parameters)
        entry = thresholds.find(one.property_id, parameters.pop("metric"), one.model, parameters)
        by_entry[id(entry)].append(one)
    return [_separation(entry, by_entry[id(entry)]) for entry in thresholds.entries]


def _separation(entry: Threshold, measured: Sequence[Measured]) -> Separation:
    upper = entry.direction == "max"
    if entry.basis != "sides":
        met = [one for one in measured if entry.met_by(one.value)]
        return Separation(entry, _side(entry, met, {one.editor for one in met}, upper), _side(entry, [], (), upper))
    return Separation(entry, _side(entry, measured, entry.good, upper), _side(entry, measured, entry.bad, not upper))


def _side(entry: Threshold, measured: Sequence[Measured], editors: Iterable[str], upper: bool) -> Side:
    """The numbers of these editors, the nearest of which is the largest (`upper`) or the smallest."""
    pick = max if upper else min
    draws: dict[tuple[str, str], set[int]] = {}
    trainings: dict[tuple[str, str], set[str]] = {}
    groups: dict[str, dict[tuple[object, ...], list[float]]] = {}
    names = tuple(editors)
    own = [one for one in measured if one.editor in names]
    for one in own:
        draws.setdefault((one.editor, one.model), set()).add(one.draw)
        trainings.setdefault((one.editor, one.model), set()).add(one.training)
        groups.setdefault(one.editor, {}).setdefault(one.group, []).append(_scaled(entry, one.value))
    return Side(
        pick(own, key=lambda one: one.value, default=None),
        tuple(
            Scatter(editor, pick(map(statistics.fmean, found.values())), _pooled(found.values()))
            for editor, found in groups.items()
        ),
        min(map(len, draws.values()), default=0),
        min(map(len, trainings.values()), default=0),
        tuple(name for name in names if name not in groups),
    )


def _scaled(entry: Threshold, value: float) -> float:
    """The number as it is compared with others: a ratio by its logarithm."""
    return math.log(max(value, SMALLEST_RATIO)) if entry.unit.startswith("ratio") else value


def _pooled(groups: Iterable[Sequence[float]]) -> float | None:
    """Standard deviation within groups, weighted by degrees of freedom; groups of one number say nothing."""
    repeated = [values for values in groups if len(values) > 1]
    freedom = sum(len(values) - 1 for values in repeated)
    squares = sum((len(values) - 1) * statistics.variance(values) for values in repeated)
    return math.sqrt(squares / freedom) if freedom else None


def _value(side: Side) -> float:
    return math.nan if side.nearest is None else side.nearest.value
