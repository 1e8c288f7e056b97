# SPDX-License-Identifier: Apache-2.0
"""Known failures: data with a reason, strict in both directions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kedit.gate.options import read_toml
from kedit.gate.thresholds import Thresholds

__all__ = ["Expectation", "read_expectations"]

_FIELDS = {"property": str, "reason": str, "metric": str, "parameters": dict, "models": list, "editors": list}


@dataclass(frozen=True, slots=True)
class Expectation:
    """One known failure.

    Attributes:
        property: id of the property that fails.
        reason: why, in a sentence.
        metric: the metric that misses its threshold; None for any.
        parameters: the tests it holds for; a value may be a list of alternatives; empty for all.
        models: names of the models it holds for; empty for all.
        editors: editors it holds for; empty for every editor judged with the file.
        origin: file and number of the entry, for messages.
    """

    property: str
    reason: str
    metric: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    editors: tuple[str, ...] = ()
    origin: str = ""

    def matches(self, editor: str, model: str, property_id: str, parameters: Mapping[str, Any]) -> bool:
        """Whether a test is expected to fail by this entry."""
        return (
            self.property == property_id
            and self.concerns([editor], [model])
            and all(
                name in parameters and parameters[name] in (value if isinstance(value, list) else [value])
                for name, value in self.parameters.items()
            )
        )

    def concerns(self, editors: Iterable[str], models: Iterable[str]) -> bool:
        """Whether the entry can match in a run with these editors and models."""
        return (not self.editors or bool(set(self.editors) & set(editors))) and (
            not self.models or bool(set(self.models) & set(models))
        )


def read_expectations(path: Path, option: str, thresholds: Thresholds) -> tuple[Expectation, ...]:
    """Read a file of known failures; an empty file means that none is known.

    Raises:
        pytest.UsageError: a missing reason, or an unknown field, property or metric.
    """
    content = read_toml(path, option)
    strangers = sorted(set(content) - {"expect"})
    if strangers:
        raise pytest.UsageError(f"{option} {path}: unknown table {strangers[0]!r}; entries are [[expect]]")
    rows = content.get("expect", [])
    if not isinstance(rows, list):
        raise pytest.UsageError(f"{option} {path}: write [[expect]], a list of tables")
    return tuple(_entry(row, f"{option} {path}: entry {number}", thresholds) for number, row in enumerate(rows, 1))


def _entry(row: Mapping[str, Any], where: str, thresholds: Thresholds) -> Expectation:
    for name, value in row.items():
        kind = _FIELDS.get(name)
        if kind is None:
            raise pytest.UsageError(f"{where}: unknown field {name!r}; known: {', '.join(_FIELDS)}")
        if not isinstance(value, kind):
            raise pytest.UsageError(f"{where}: field {name!r} must be a {kind.__name__}, not {value!r}")
    for name in ("property", "reason"):
        if not row.get(name, "").strip():
            raise pytest.UsageError(f"{where}: field {name!r} is missing; a known failure has a property and a reason")
    if row["property"] not in thresholds.properties:
        raise pytest.UsageError(f"{where}: there is no property {row['property']!r}")
    metrics = thresholds.metrics_of(row["property"])
    if "metric" in row and row["metric"] not in metrics:
        known = ", ".join(sorted(metrics))
        raise pytest.UsageError(f"{where}: {row['property']!r} has no metric {row['metric']!r}; known: {known}")
    return Expectation(
        property=row["property"],
        reason=row["reason"],
        metric=row.get("metric"),
        parameters=dict(row.get("parameters", {})),
        models=tuple(row.get("models", ())),
        editors=tuple(row.get("editors", ())),
        origin=where,
    )
