# SPDX-License-Identifier: Apache-2.0
"""The rows of one experiment on one model, asked by series, arm, place and metric."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

from kedit.experiments.experiment import ExperimentError, Quantity
from kedit.experiments.tidy import Measured
from kedit.metrics.score import S, score

__all__ = ["RATES", "Samples", "by_model"]

# What S is made of.
RATES = ("ES", "PS", "NS")
EVERY = "*"


class Samples:
    """Values by repeat.

    Args:
        rows: rows of one experiment on one model.

    Raises:
        ExperimentError: no rows, rows of several models or experiments, or one number twice.
    """

    def __init__(self, rows: Iterable[Measured]) -> None:
        self._values: dict[tuple[str, str, int, str], dict[int, float]] = {}
        self.model = self.experiment = ""
        for row in rows:
            if not self._values:
                self.model, self.experiment = row.model, row.experiment
            if (row.model, row.experiment) != (self.model, self.experiment):
                raise ExperimentError(
                    f"rows of {row.experiment} on {row.model} among those of {self.experiment} on {self.model}; "
                    "pass one experiment and one model"
                )
            values = self._values.setdefault((row.series, row.arm, row.place, row.metric), {})
            if row.repeat in values:
                raise ExperimentError(
                    f"{row.experiment} on {row.model}: {row.metric} of {row.series}, arm {row.arm!r}, place "
                    f"{row.place}, repeat {row.repeat} stands twice; keep one row"
                )
            values[row.repeat] = row.value
        if not self._values:
            raise ExperimentError("no measured rows; run the experiment first")

    def series(self) -> tuple[str, ...]:
        """Labels of series, in the order of the rows."""
        return tuple(dict.fromkeys(series for series, _, _, _ in self._values))

    def arms(self, series: str | None = None) -> tuple[str, ...]:
        """Arms of one series or of all, in the order of the rows."""
        return tuple(dict.fromkeys(arm for name, arm, _, _ in self._values if series in (None, name)))

    def places(self, series: str | None = None, arm: str | None = None) -> tuple[int, ...]:
        """Places, sorted."""
        return tuple(
            sorted({place for name, a, place, _ in self._values if series in (None, name) and arm in (None, a)})
        )

    def metrics(self) -> tuple[str, ...]:
        """Metrics in the order of the rows, with S after those that it is made of."""
        names = list(dict.fromkeys(metric for _, _, _, metric in self._values))
        if all(name in names for name in RATES) and S.name not in names:
            names.insert(max(names.index(name) for name in RATES) + 1, S.name)
        return tuple(names)

    def values(self, quantity: Quantity) -> dict[int, float]:
        """Repeat -> mean over the arms and places that the quantity leaves open; for S, of that repeat alone.

        Raises:
            ExperimentError: nothing was measured under one of the names.
        """
        if quantity.metric == S.name:
            parts = self.rates(quantity)
            return {repeat: score(*values) for repeat, values in parts.items()}
        found: dict[int, list[float]] = {}
        # Rows without an arm are asked for by the empty name; where there are none, it leaves the arm open.
        arms = {arm for name, arm, _, metric in self._values if (name, metric) == (quantity.series, quantity.metric)}
        wanted = {quantity.arm} & arms or (arms if quantity.arm == "" else set())
        for (series, arm, place, metric), values in self._values.items():
            if (
                (series, metric) == (quantity.series, quantity.metric)
                and arm in wanted
                and quantity.place in (None, place)
            ):
                for repeat, value in values.items():
                    found.setdefault(repeat, []).append(value)
        if not found:
            raise self._nothing(quantity)
        return {repeat: statistics.fmean(found[repeat]) for repeat in sorted(found)}

    def rates(self, quantity: Quantity) -> dict[int, tuple[float, float, float]]:
        """Repeat -> ES, PS and NS.

        Raises:
            ExperimentError: one of them was not measured, or not in the repeats of the others.
        """
        parts = [self.values(Quantity(name, quantity.series, quantity.arm, quantity.place)) for name in RATES]
        for name, part in zip(RATES, parts, strict=True):
            if part.keys() != parts[0].keys():
                raise ExperimentError(
                    f"{self.experiment} on {self.model}: {name} of {quantity.series} has other repeats than "
                    f"{RATES[0]}; S needs all three, run the missing cells"
                )
        es, ps, ns = parts
        return {repeat: (es[repeat], ps[repeat], ns[repeat]) for repeat in es}

    def shared(self, one: Quantity, other: Quantity) -> list[tuple[str, str, int]]:
        """Series, arms and places where both metrics were measured, within what the two quantities name.

        The series `*` leaves the series open, as an empty arm and no place leave theirs.
        """
        first, second = (
            [
                (series, arm, place)
                for series, arm, place, metric in self._values
                if metric == quantity.metric
                and quantity.series in (EVERY, series)
                and quantity.arm in ("", arm)
                and quantity.place in (None, place)
            ]
            for quantity in (one, other)
        )
        return [key for key in first if key in set(second)]

    def has(self, quantity: Quantity) -> bool:
        """Whether the quantity was measured."""
        names = RATES if quantity.metric == S.name else (quantity.metric,)
        return all(
            any(
                (series, metric) == (quantity.series, name)
                and quantity.arm in ("", arm)
                and quantity.place in (None, place)
                for series, arm, place, metric in self._values
            )
            for name in names
        )

    def mean(self, quantity: Quantity) -> float:
        """Mean over repeats; for S, the harmonic mean of the means of ES, PS and NS."""
        if quantity.metric == S.name:
            es, ps, ns = zip(*self.rates(quantity).values(), strict=True)
            return score(statistics.fmean(es), statistics.fmean(ps), statistics.fmean(ns))
        return statistics.fmean(self.values(quantity).values())

    def _nothing(self, quantity: Quantity) -> ExperimentError:
        where = f"{self.experiment} on {self.model}"
        keys = [key for key in self._values if key[0] == quantity.series]
        if not keys:
            return ExperimentError(f"{where}: no series {quantity.series!r}; it has {_listed(self.series())}")
        metrics = tuple(dict.fromkeys(key[3] for key in keys))
        if quantity.metric not in metrics:
            return ExperimentError(
                f"{where}: no metric {quantity.metric!r} of {quantity.series}; it has {_listed(metrics)}"
            )
        keys = [key for key in keys if key[3] == quantity.metric]
        arms = tuple(dict.fromkeys(key[1] for key in keys))
        if quantity.arm and quantity.arm not in arms:
            return ExperimentError(
                f"{where}: no arm {quantity.arm!r} for {quantity.metric} of {quantity.series}; it has {_listed(arms)}"
            )
        places = sorted({key[2] for key in keys})
        return ExperimentError(
            f"{where}: no place {quantity.place} for {quantity.metric} of {quantity.series}; it has {_listed(places)}"
        )


def by_model(rows: Iterable[Measured]) -> Mapping[str, Samples]:
    """Samples of each model, in the order of the rows."""
    groups: dict[str, list[Measured]] = {}
    for row in rows:
        groups.setdefault(row.model, []).append(row)
    return {model: Samples(own) for model, own in groups.items()}


def _listed(names: Sequence[object]) -> str:
    return ", ".join(repr(name) for name in names)
