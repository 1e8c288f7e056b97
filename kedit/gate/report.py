# SPDX-License-Identifier: Apache-2.0
"""The report on one editor: what report.json holds, told in docs/report.md and in report.schema.json."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from kedit.gate.results import STATUSES, Result, outcome, sort_key
from kedit.versions import versions

__all__ = [
    "FIRST_EDIT",
    "KEY_COSINE",
    "NAME",
    "SAME_SUBJECT",
    "SCHEMA",
    "SEQUENCE",
    "Report",
    "Series",
    "plain",
    "read_report",
]

NAME = "report.json"
SCHEMA = 2
# Names of series.
SAME_SUBJECT = "same-subject-batch"
FIRST_EDIT = "first-edit"
SEQUENCE = "sequence"
KEY_COSINE = "key-cosine"
_FIELDS = {
    "editor": str,
    "verdict": str,
    "notes": list,
    "tags": list,
    "settings": dict,
    "seed": int,
    "versions": dict,
    "models": dict,
    "about": dict,
    "results": list,
    "series": list,
}


@dataclass(frozen=True, slots=True)
class Series:
    """Named data of one property test, for the figures: `data` is plain, its names are told in docs/report.md."""

    name: str
    property: str
    model: str
    parameters: Mapping[str, Any]
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Report:
    """All that a run of the gate found out about one editor.

    Attributes:
        editor: its name, as on the command line.
        verdict: the last line of the run.
        results: judged numbers, sorted.
        series: data for the figures, sorted.
        models: name -> fingerprint, dtype and device of the unedited model; empty for one that no test loaded.
        about: property -> what its tests ask for.
        tags: the editor's tags.
        settings: what the editor was given with `--editor-config`.
        seed: seed of all draws.
        notes: remarks that a reader must see before the verdict.
        versions: of Python and of what the numbers depend on.
    """

    editor: str
    verdict: str
    results: tuple[Result, ...]
    series: tuple[Series, ...] = ()
    models: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    about: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=versions)

    @property
    def outcome(self) -> str:
        """One of `kedit.gate.results.OUTCOMES`."""
        return outcome(self.results)

    def of(self, name: str, model: str) -> list[Mapping[str, Any]]:
        """The data of every series of this name on one model."""
        return [one.data for one in self.series if (one.name, one.model) == (name, model)]

    def as_data(self) -> dict[str, Any]:
        """The content of report.json; what JSON cannot say is written as null (numbers) or as text (dates)."""
        named = {name: getattr(self, name) for name in _FIELDS if name not in ("results", "series")}
        return {
            "schema": SCHEMA,
            **{name: plain(value) for name, value in named.items()},
            "outcome": self.outcome,
            "results": [plain(result.as_row()) for result in self.results],
            "series": [plain(asdict(one)) for one in self.series],
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any], where: str) -> Report:
        """A report from the content of report.json.

        Raises:
            ValueError: one line that names `where` and the field.
        """
        _check(data, _FIELDS, where)
        found: dict[str, Any] = {
            name: tuple(data[name]) if kind is list else data[name] for name, kind in _FIELDS.items()
        }
        rows = [_row(row, f"{where}: result {number}") for number, row in enumerate(data["results"], 1)]
        series = [_series(one, f"{where}: series {number}") for number, one in enumerate(data["series"], 1)]
        return cls(**found | {"results": tuple(sorted(rows, key=sort_key)), "series": tuple(series)})


def read_report(path: Path) -> Report:
    """The report in a file, or in the `report.json` of a folder.

    Raises:
        ValueError: one line that names the file, the field and the mend.
    """
    path = path / NAME if path.is_dir() else path
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: no report can be read ({error}); name a folder of --editing-report") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise ValueError(f"{path}: field 'schema' is not {SCHEMA}; make the report again with --editing-report")
    return Report.from_data(data, str(path))


def _row(row: Any, where: str) -> Result:
    kinds = {"property": str, "model": str, "parameters": dict, "status": str, "reason": str, "bound": str}
    _check(row, kinds, where)
    _check(row, dict.fromkeys(("measured", "threshold", "margin", "seconds"), float | None), where)
    _check(row, dict.fromkeys(("unit", "source", "basis"), str), where)
    if row["status"] not in STATUSES:
        raise ValueError(f"{where}: field 'status' must be one of {', '.join(STATUSES)}, not {row['status']!r}")
    return Result(**{one.name: row[one.name] for one in fields(Result)})


def _series(one: Any, where: str) -> Series:
    kinds = {"name": str, "property": str, "model": str, "parameters": dict, "data": dict}
    _check(one, kinds, where)
    return Series(**{name: one[name] for name in kinds})


def _check(record: Any, kinds: Mapping[str, Any], where: str) -> None:
    if not isinstance(record, Mapping):
        raise ValueError(f"{where}: must be an object, not {record!r}")
    for name, kind in kinds.items():
        if name not in record:
            raise ValueError(f"{where}: field {name!r} is missing; make the report again with --editing-report")
        value = record[name]
        given = float(value) if isinstance(value, int) and kind == float | None else value
        if not isinstance(given, kind) or isinstance(value, bool):
            wanted = "a number or null" if kind == float | None else f"a {kind.__name__}"
            raise ValueError(f"{where}: field {name!r} must be {wanted}, not {value!r}")


def plain(value: Any) -> Any:
    """What JSON can hold: mappings with text for names, lists, numbers that are finite (others are null), else text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [plain(inner) for inner in value]
    return value if value is None or isinstance(value, str | int) else str(value)
