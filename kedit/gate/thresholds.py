# SPDX-License-Identifier: Apache-2.0
"""Thresholds: read from the suite's file; the user's own tighten them, and loosen them only by permission."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from kedit.gate.options import read_toml

__all__ = ["Threshold", "Thresholds"]

_REQUIRED = {"property": str, "metric": str, "value": float, "direction": str, "unit": str, "source": str, "basis": str}
_OPTIONAL = {"margin": float, "good": list, "bad": list, "parameters": dict, "models": list, "dtypes": list}
_BASES = ("exact", "rounding", "sides", "published")
_OWN_REQUIRED = ("property", "metric", "value")


@dataclass(frozen=True, slots=True)
class Threshold:
    """The bound of one metric of one property.

    Attributes:
        property: dotted id.
        metric: name of the judged number.
        value: the bound, in `unit`; the bound itself is met.
        direction: "min" if the measured number must be at least `value`, "max" if at most.
        unit: unit of `value`.
        source: where the value comes from.
        basis: "exact" if any other number is wrong, "rounding" if `value` is what float arithmetic may leave, "sides"
            if `value` lies between what good and what bad editors reach, "published" if it was not measured with this
            suite and stands between numbers of the source.
        margin: distance from `value` to the nearest measured number, in `unit`; 0 for exact requirements.
        good, bad: editors that make the two sides, named as on the command line; only with the basis "sides".
        parameters: the bound holds only for tests with these parameters.
        models: the bound holds only for these models; empty for all.
        dtypes: the bound holds only for weights of these types; empty for all.
        real: the bound is one for models of the real world, and decides there over those for tiny ones.
    """

    property: str
    metric: str
    value: float
    direction: str
    unit: str
    source: str
    basis: str
    margin: float
    good: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    real: bool = False

    def __str__(self) -> str:
        named = [f"{name}={value}" for name, value in self.parameters.items()]
        where = ", ".join([*named, *self.models, *self.dtypes])
        return f"{self.property} {self.metric} {self.value:g}" + (f" [{where}]" if where else "")

    def met_by(self, measured: float) -> bool:
        """Whether `measured` is on the right side; a number that is not one never is."""
        return measured >= self.value if self.direction == "min" else measured <= self.value

    def applies_to(
        self, property_id: str, metric: str, model: str, parameters: Mapping[str, Any], dtype: str = ""
    ) -> bool:
        """Whether this is a bound for that measurement."""
        return (
            (self.property, self.metric) == (property_id, metric)
            and (not self.models or model in self.models)
            and (not self.dtypes or dtype in self.dtypes)
            and all(parameters.get(name) == value for name, value in self.parameters.items())
        )

    def overlaps(self, other: Threshold) -> bool:
        """Whether some measurement falls under both."""
        shared = self.parameters.keys() & other.parameters.keys()
        return (
            (self.property, self.metric) == (other.property, other.metric)
            and (not self.models or not other.models or bool(set(self.models) & set(other.models)))
            and all(self.parameters[name] == other.parameters[name] for name in shared)
        )

    def is_looser_than(self, other: Threshold) -> bool:
        """Whether this bound lets through what `other` does not."""
        return not other.met_by(self.value)


class Thresholds:
    """All bounds. The user's own decide over the suite's; among each, the most specific does, and a later of equals.

    Attributes:
        entries: the suite's.
        own: the user's.
        loosened: one sentence for each of the user's that lets through what one of the suite's does not.
    """

    def __init__(
        self, entries: Iterable[Threshold], own: Iterable[Threshold] = (), loosened: Iterable[str] = ()
    ) -> None:
        """Keep the entries in their order."""
        self.entries = tuple(entries)
        self.own = tuple(own)
        self.loosened = tuple(loosened)

    @classmethod
    def read(cls, path: Path) -> Thresholds:
        """Read the suite's own file, in which every field is required."""
        rows = read_toml(path, "thresholds").get("threshold", [])
        return cls(_entry(row, f"{path}: threshold {number}", None) for number, row in enumerate(rows, 1))

    @property
    def properties(self) -> frozenset[str]:
        """Ids of all properties; every property has at least one bound."""
        return frozenset(entry.property for entry in self.entries)

    def metrics_of(self, property_id: str) -> frozenset[str]:
        """Names of the metrics that a property judges."""
        return frozenset(entry.metric for entry in self.entries if entry.property == property_id)

    def with_real(self, path: Path) -> Thresholds:
        """These bounds and those of a file for models of the real world, written like the suite's own."""
        real = [replace(entry, real=True) for entry in Thresholds.read(path).entries]
        return Thresholds([*self.entries, *real], self.own, self.loosened)

    def find(
        self,
        property_id: str,
        metric: str,
        model: str,
        parameters: Mapping[str, Any],
        *,
        real: bool = False,
        dtype: str = "",
    ) -> Threshold:
        """The bound for one measurement, on a tiny model or on a `real` one, with weights of `dtype`.

        Raises:
            LookupError: the file has none.
        """
        for entries in (self.own, self.entries):
            found = [
                entry
                for entry in entries
                if entry.applies_to(property_id, metric, model, parameters, dtype) and (real or not entry.real)
            ]
            if found:
                break
        else:
            raise LookupError(
                f"thresholds.toml has no entry for property {property_id!r}, metric {metric!r}, parameters "
                f"{dict(parameters)!r}; add one with unit, source, basis and margin"
            )
        return max(enumerate(found), key=lambda pair: (_specificity(pair[1]), pair[0]))[1]

    def with_own(self, path: Path, *, allow_looser: bool = False) -> Thresholds:
        """These bounds with the user's on top.

        Args:
            path: the user's file.
            allow_looser: take bounds that are looser than the suite's, and say which in `loosened`.

        Raises:
            pytest.UsageError: an unknown property or metric, or a bound that is looser without permission.
        """
        rows = read_toml(path, "--thresholds").get("threshold")
        if not isinstance(rows, list) or not rows:
            raise pytest.UsageError(f"--thresholds {path}: has no [[threshold]] entry")
        own, loosened = [], []
        for number, row in enumerate(rows, 1):
            where = f"--thresholds {path}: threshold {number}"
            entry = self._own(where, row)
            looser = [other for other in self.entries if entry.overlaps(other) and entry.is_looser_than(other)]
            if looser and not allow_looser:
                raise pytest.UsageError(
                    f"{where}: {entry} is looser than the suite's {looser[0].value:g} ({looser[0].direction}); "
                    "a threshold may only be tightened, unless --allow-looser is given"
                )
            own.append(entry)
            loosened += [f"threshold loosened: {entry}, the suite's is {other.value:g}" for other in looser]
        return Thresholds(self.entries, own, dict.fromkeys(loosened))

    def _own(self, where: str, row: Mapping[str, Any]) -> Threshold:
        for name in _OWN_REQUIRED:
            if name not in row:
                raise pytest.UsageError(f"{where}: field {name!r} is missing")
        like = [e for e in self.entries if (e.property, e.metric) == (row["property"], row["metric"])]
        if not like:
            raise pytest.UsageError(
                f"{where}: property {row['property']!r} has no metric {row['metric']!r}; "
                f"known metrics: {', '.join(sorted(self.metrics_of(row['property']))) or 'none, check the id'}"
            )
        entry = _entry(row, where, like[0])
        if not any(entry.overlaps(other) for other in like):
            raise pytest.UsageError(f"{where}: no test of {entry.property} has parameters {dict(entry.parameters)!r}")
        return entry


def _specificity(entry: Threshold) -> tuple[bool, int]:
    return (entry.real, len(entry.parameters) + bool(entry.models) + bool(entry.dtypes))


def _entry(row: Mapping[str, Any], where: str, like: Threshold | None) -> Threshold:
    """One entry; fields that a user's file leaves out come from the suite's entry `like`."""
    known = {**_REQUIRED, **_OPTIONAL}
    for name in row:
        if name not in known:
            raise pytest.UsageError(f"{where}: unknown field {name!r}; known: {', '.join(known)}")
    if like is not None:
        sides = {"good": list(like.good), "bad": list(like.bad)}
        given = {
            "direction": like.direction,
            "unit": like.unit,
            "source": str(where),
            "basis": like.basis,
            "margin": 0.0,
        }
        row = given | sides | dict(row)
        if row["direction"] != like.direction:
            raise pytest.UsageError(f"{where}: direction is {like.direction!r} for this metric")
    for name in (*_REQUIRED, "margin"):
        if name not in row:
            raise pytest.UsageError(f"{where}: field {name!r} is missing")
    for name, kind in known.items():
        if name in row and not _is_a(row[name], kind):
            raise pytest.UsageError(f"{where}: field {name!r} must be a {kind.__name__}, not {row[name]!r}")
    if row["direction"] not in ("min", "max"):
        raise pytest.UsageError(f"{where}: direction must be 'min' or 'max', not {row['direction']!r}")
    _check_basis(row, where)
    return Threshold(
        property=row["property"],
        metric=row["metric"],
        value=float(row["value"]),
        direction=row["direction"],
        unit=row["unit"],
        source=row["source"],
        basis=row["basis"],
        margin=float(row["margin"]),
        good=tuple(row.get("good", ())),
        bad=tuple(row.get("bad", ())),
        parameters=dict(row.get("parameters", {})),
        models=tuple(row.get("models", ())),
        dtypes=tuple(row.get("dtypes", ())),
    )


def _check_basis(row: Mapping[str, Any], where: str) -> None:
    """Only and exactly a bound that lies between two sides names their editors."""
    if row["basis"] not in _BASES:
        raise pytest.UsageError(f"{where}: basis must be one of {', '.join(_BASES)}, not {row['basis']!r}")
    if row["basis"] == "exact" and row["margin"] != 0:
        raise pytest.UsageError(f"{where}: field 'margin' of an exact requirement must be 0, not {row['margin']!r}")
    sides = {side: row.get(side, []) for side in ("good", "bad")}
    for side, editors in sides.items():
        if row["basis"] == "sides" and not editors:
            raise pytest.UsageError(f"{where}: field {side!r} is missing; name the editors that make this side")
        if row["basis"] != "sides" and editors:
            raise pytest.UsageError(f"{where}: field {side!r} needs the basis 'sides', not {row['basis']!r}")
        if not all(isinstance(name, str) for name in editors) or len(set(editors)) < len(editors):
            raise pytest.UsageError(f"{where}: field {side!r} must list each editor once, by its name: {editors!r}")
    for name in sorted(set(sides["good"]) & set(sides["bad"])):
        raise pytest.UsageError(f"{where}: {name} stands on both sides; name it as good or as bad")


def _is_a(value: object, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and value == value
    return isinstance(value, kind)
