# SPDX-License-Identifier: Apache-2.0
"""Results: one judged number each, and the verdict over them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["Result", "Status", "line", "number", "parameter_text", "sort_key", "verdict"]

Status = Literal["passed", "failed", "xfailed", "skipped"]


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
        bound: how threshold and measured compare, ">=" or "<=", for the printed line only.
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

    def as_row(self) -> dict[str, Any]:
        """The row of report.json."""
        row = asdict(self)
        del row["bound"]
        return row


def sort_key(result: Result) -> tuple[Any, ...]:
    """The order of reports, the same however the tests were spread over workers."""
    parameters = sorted((name, natural(str(value))) for name, value in result.parameters.items())
    return (result.property, natural(result.model), parameters)


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts 2 before 12."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", text) if part)


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
    failed = _ids(results, "failed")
    known = _ids(results, "xfailed")
    everything = frozenset(properties)
    seen = {result.property for result in results} & everything
    ran = f"{'quick: ' if quick else ''}only {len(seen)} of {len(everything)} properties ran"
    remarks = [*([ran] if quick or seen != everything else []), *notes]
    partial = f" ({'; '.join(remarks)})" if remarks else ""
    if failed:
        return f"{editor}: rejected by: {', '.join(failed)}{partial}"
    if not any(result.status in ("passed", "xfailed") for result in results):
        return f"{editor}: no verdict, nothing was measured"
    if known:
        noun = "failure" if len(known) == 1 else "failures"
        return f"{editor}: accepted with {len(known)} known {noun}: {', '.join(known)}{partial}"
    return f"{editor}: accepted{partial}"


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
