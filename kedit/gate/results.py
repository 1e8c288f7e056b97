# SPDX-License-Identifier: Apache-2.0
"""Results: one judged number each, and the verdict over them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = [
    "NOT_APPLICABLE",
    "OUTCOMES",
    "STATUSES",
    "Result",
    "Status",
    "line",
    "natural",
    "not_applicable",
    "number",
    "numbered",
    "outcome",
    "parameter_text",
    "place",
    "sort_key",
    "verdict",
]

Status = Literal["passed", "failed", "xfailed", "skipped"]
# What needs reading first stands first.
STATUSES: tuple[Status, ...] = ("failed", "xfailed", "passed", "skipped")
NOT_APPLICABLE = "not applicable: "
# From the best to the worst.
OUTCOMES = ("accepted", "accepted with known failures", "rejected", "no verdict")


@dataclass(frozen=True, slots=True)
class Result:
    """One row of the report.

    Attributes:
        property: dotted id.
        model: name of the model.
        parameters: parameters of the test, with the judged number's name under "metric".
        measured: the number, None if nothing was measured.
        threshold: the bound, None if nothing was measured.
        status: "xfailed" is a known failure that failed as expected.
        reason: why it was skipped, failed or is known to fail.
        seconds: wall time spent on this row.
        bound: how threshold and measured compare, ">=" or "<="; empty if nothing was measured.
        unit, source, basis, margin: of the threshold, as `kedit.gate.thresholds.Threshold` has them.
    """

    property: str
    model: str
    parameters: Mapping[str, Any]
    measured: float | None
    threshold: float | None
    status: Status
    reason: str
    seconds: float
    bound: str = field(default="", compare=False)
    unit: str = ""
    source: str = ""
    basis: str = ""
    margin: float | None = None

    def distance(self) -> float | None:
        """How far the number is from its threshold, in `unit`; negative on the wrong side, None if there is none."""
        if self.measured is None or self.threshold is None:
            return None
        above = self.measured - self.threshold
        return above if self.bound == ">=" else -above

    def as_row(self) -> dict[str, Any]:
        """The row of report.json; a measured number that is not finite is written as null, and told as a reason."""
        row = asdict(self)
        if self.measured is not None and not math.isfinite(self.measured):
            row.update(measured=None, reason=f"measured {self.measured}; {self.reason}".rstrip("; "))
        return row


def sort_key(result: Result) -> tuple[Any, ...]:
    """The order of reports, the same however the tests were spread over workers."""
    return place(result.property, result.model, result.parameters)


def place(property_id: str, model: str, parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    """The place of a property test, or of one of its rows, in a report."""
    return (property_id, natural(model), sorted((name, natural(str(value))) for name, value in parameters.items()))


def numbered(results: Iterable[Result]) -> Iterator[tuple[tuple[str, str, str, int], Result]]:
    """Every row with a name that no other has: property, model, parameters, and which of equal ones it is, from 0."""
    seen: Counter[tuple[str, str, str]] = Counter()
    for result in results:
        name = (result.property, result.model, parameter_text(result.parameters))
        yield (*name, seen[name]), result
        seen[name] += 1


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts 2 before 12."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", text) if part)


def outcome(results: Sequence[Result]) -> str:
    """One of `OUTCOMES`."""
    statuses = {result.status for result in results}
    if "failed" in statuses:
        return "rejected"
    if not statuses & {"passed", "xfailed"}:
        return "no verdict"
    return "accepted with known failures" if "xfailed" in statuses else "accepted"


def verdict(
    editor: str,
    results: Sequence[Result],
    properties: Iterable[str],
    *,
    quick: bool = False,
    notes: Sequence[str] = (),
) -> str:
    """One line: accepted, accepted with known failures, or rejected and by what.

    Args:
        editor: name of the editor.
        results: all its rows.
        properties: ids of all properties; where rows for some are missing, the line says so.
        quick: whether the run left the long properties out.
        notes: what stands behind the verdict in brackets.
    """
    known, found = _ids(results, "xfailed"), outcome(results)
    everything = frozenset(properties)
    seen = {result.property for result in results if result.status != "skipped" or not_applicable(result)} & everything
    ran = f"{'quick: ' if quick else ''}only {len(seen)} of {len(everything)} properties ran"
    remarks = [*([ran] if quick or seen != everything else []), *notes]
    partial = f" ({'; '.join(remarks)})" if remarks else ""
    if found == "rejected":
        return f"{editor}: rejected by: {', '.join(_ids(results, 'failed'))}{partial}"
    if found == "no verdict":
        return f"{editor}: no verdict, nothing was measured"
    if known:
        noun = "failure" if len(known) == 1 else "failures"
        return f"{editor}: accepted with {len(known)} known {noun}: {', '.join(known)}{partial}"
    return f"{editor}: accepted{partial}"


def not_applicable(result: Result) -> bool:
    """Whether it was skipped because the editor's tags say so, and not because something was missing."""
    return result.status == "skipped" and result.reason.startswith(NOT_APPLICABLE)


def _ids(results: Iterable[Result], status: Status) -> list[str]:
    return sorted({result.property for result in results if result.status == status})


def line(result: Result) -> str:
    """One printed line: id, model, parameters, measured, threshold, status, reason."""
    numbers = f"{number(result.measured)} {result.bound} {number(result.threshold)}" if result.bound else "-"
    parts = [result.property, result.model, parameter_text(result.parameters) or "-", numbers, result.status]
    widths = (34, 12, 36, 20, 0)
    text = "  ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True))
    return f"{text}  {result.reason}".rstrip()


def parameter_text(parameters: Mapping[str, Any]) -> str:
    """`metric` first, then `name=value`."""
    rest = [f"{name}={value}" for name, value in sorted(parameters.items()) if name != "metric"]
    return " ".join([*([str(parameters["metric"])] if "metric" in parameters else []), *rest])


def number(value: float | None) -> str:
    """Three significant digits, a dash for nothing."""
    return "-" if value is None else f"{value:.3g}"
