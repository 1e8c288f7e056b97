# SPDX-License-Identifier: Apache-2.0
"""Judging: measured numbers against thresholds, recorded row by row, failing once at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from kedit.gate.expectations import Expectation
from kedit.gate.thresholds import Threshold, Thresholds

__all__ = ["Judge", "Node", "PropertyViolation", "UnexpectedOutcome"]


class PropertyViolation(AssertionError):
    """A measured number on the wrong side of its threshold."""


class UnexpectedOutcome(AssertionError):
    """A violation that no expectation covers beside one that does, or an expected one that did not happen."""


@dataclass(slots=True)
class Node:
    """What one property test is about, and the rows it judged; travels with the test report.

    Attributes:
        editor, model, property, parameters: what is tested.
        rows: judged numbers, as plain data.
        judged: whether the test came to its end, so that every failure is in `rows`.
        ended: why it did not, where that was not an exception of the editor's.
        about: what the test asks for, from its docstring.
        unedited: fingerprint, dtype and device of the unedited model; empty while it is not loaded.
        series: named data for the figures, as plain data.
    """

    editor: str
    model: str
    property: str
    parameters: Mapping[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    judged: bool = False
    ended: str = ""
    about: str = ""
    unedited: Mapping[str, str] = field(default_factory=dict)
    series: list[dict[str, Any]] = field(default_factory=list)

    def as_data(self) -> dict[str, Any]:
        """Plain data, which pytest-xdist can send."""
        return asdict(self)


class Judge:
    """Compares, records, and in the end fails with everything that was on the wrong side."""

    def __init__(
        self, node: Node, thresholds: Thresholds, expected: Sequence[Expectation], *, real: bool = False
    ) -> None:
        """Nothing is judged yet; `real` models have thresholds of their own."""
        self.node = node
        self._real = real
        self._thresholds = thresholds
        self._expected = tuple(expected)
        self._violations: dict[str, list[str]] = {}
        self._since = time.perf_counter()

    def start(self) -> None:
        """Start the clock of the first row."""
        self._since = time.perf_counter()

    def judge(self, metric: str, measured: float, *, note: str = "", **parameters: Any) -> bool:
        """Record one number; True if it is on the right side of its threshold.

        Args:
            metric: name of the number; with the property's id and the parameters it names the threshold.
            measured: the number, in the threshold's unit; NaN is always on the wrong side.
            note: what a reader of a failure should know beside the numbers.
            parameters: parameters of this row beside those of the test.

        Raises:
            LookupError: thresholds.toml has no entry for it.
        """
        merged = {**self.node.parameters, **parameters}
        dtype = self.node.unedited.get("dtype", "")
        bound = self._thresholds.find(self.node.property, metric, self.node.model, merged, real=self._real, dtype=dtype)
        met = bound.met_by(measured)
        now = time.perf_counter()
        self.node.rows.append(
            {
                "parameters": {**merged, "metric": metric},
                "measured": float(measured),
                "threshold": bound.value,
                "bound": ">=" if bound.direction == "min" else "<=",
                "unit": bound.unit,
                "source": bound.source,
                "basis": bound.basis,
                "margin": bound.margin,
                "status": "passed" if met else "failed",
                "reason": "" if met else note,
                "seconds": round(now - self._since, 4),
            }
        )
        self._since = now
        if not met:
            self._violations.setdefault(metric, []).append(self._sentence(bound, measured, parameters, note))
        return met

    def record(self, name: str, data: Mapping[str, Any]) -> None:
        """Keep data for the report's figures; nothing is judged by it.

        Args:
            name: of the series.
            data: plain data: numbers, strings, lists and dictionaries with strings as keys.
        """
        self.node.series.append({"name": name, "data": dict(data)})

    def finish(self) -> None:
        """Fail if anything was on the wrong side.

        Raises:
            PropertyViolation: violations that are either not expected at all or expected, all of them.
            UnexpectedOutcome: part of the violations is expected and part is not, or an expected one is missing
                while others are there.
            LookupError: the test judged nothing and so could never fail.
        """
        __tracebackhide__ = True
        self.node.judged = True
        if not self.node.rows:
            raise LookupError(f"{self.node.property} judged nothing; a property that cannot fail is not a test")
        reason = "; ".join(dict.fromkeys(entry.reason for entry in self._expected))
        named = {entry.metric for entry in self._expected if entry.metric is not None}
        any_metric = any(entry.metric is None for entry in self._expected)
        covered = set(self._violations) if any_metric else named & set(self._violations)
        missing = named - set(self._violations)
        if self._expected and not self._violations:
            missing = missing or {row["parameters"]["metric"] for row in self.node.rows}
        for row in self.node.rows:
            metric = row["parameters"]["metric"]
            if row["status"] == "failed" and metric in covered:
                row.update(status="xfailed", reason=reason)
            elif row["status"] == "passed" and metric in missing:
                row.update(status="failed", reason=f"unexpected pass; remove the known failure ({reason})")
        if not self._violations:
            return  # an expected failure that passed is pytest's strict xfail
        uncovered = [text for metric, texts in self._violations.items() if metric not in covered for text in texts]
        if self._expected and (uncovered or missing):
            gone = [f"{self.node.property}: {m} was expected to fail and did not ({reason})" for m in sorted(missing)]
            raise UnexpectedOutcome("\n".join(uncovered + gone))
        raise PropertyViolation("\n".join(text for texts in self._violations.values() for text in texts))

    def _sentence(self, bound: Threshold, measured: float, parameters: Mapping[str, Any], note: str) -> str:
        sign = "at least" if bound.direction == "min" else "at most"
        merged = {**self.node.parameters, **parameters}
        where = ", ".join([self.node.model, *(f"{name}={value}" for name, value in merged.items())])
        tail = f"; {note}" if note else ""
        return (
            f"{bound.property}: {bound.metric} is {measured:.4g}, must be {sign} {bound.value:.4g} {bound.unit} "
            f"[{where}] (source: {bound.source}; margin {bound.margin:.3g}){tail}"
        )
