# SPDX-License-Identifier: Apache-2.0
"""The numbers that the three papers print, from `fixtures/published/*.csv`."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from kedit.experiments.experiment import ExperimentError
from kedit.paths import fixtures_dir

__all__ = ["Published", "published", "read_published", "renamed"]

_FILES = {"S2RKE": "s2rke.csv", "MEMIT-Merge": "memit-merge.csv", "D4S": "d4s.csv"}


@dataclass(frozen=True, slots=True)
class Published:
    """One printed number.

    Attributes:
        paper: whose it is.
        item: `table 1`, or the figure or section whose text states it.
        row: where in the item it stands, in the paper's words.
        model: full model; empty where none is named.
        series, arm, place, metric: as in `Row` and `Series`; place is 0 where none is printed.
        value: the number as printed.
        unit: its unit, such as `share` or `%`.
        note: known misprints, and how a number in a sentence was read.
    """

    paper: str
    item: str
    row: str
    model: str
    series: str
    arm: str
    place: int
    metric: str
    value: float
    unit: str
    note: str

    @property
    def share(self) -> float:
        """The number in the unit that kedit measures in: shares instead of percent."""
        return self.value / 100 if self.unit == "%" else self.value


_COLUMNS = tuple(field.name for field in fields(Published))


def published(paper: str, item: str) -> tuple[Published, ...]:
    """Every number that a paper prints in an item, in its order; none where the item is only drawn.

    Raises:
        ExperimentError: no such paper, or its file is damaged.
    """
    if paper not in _FILES:
        raise ExperimentError(f"no published numbers of {paper!r}; name one of {', '.join(_FILES)}")
    path = fixtures_dir() / "published" / _FILES[paper]
    rows = read_published(path)
    strange = {row.paper for row in rows} - {paper}
    if strange:
        raise ExperimentError(f"{path}: numbers of {', '.join(sorted(strange))}; keep those of {paper} only")
    return tuple(row for row in rows if row.item == item)


def read_published(path: Path) -> tuple[Published, ...]:
    """Every number of one file.

    Raises:
        ExperimentError: the file cannot be read, a line is incomplete, or two lines are of one number.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = tuple(_rows(path, csv.reader(file, strict=True)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ExperimentError(f"{path} cannot be read as CSV ({error}); install kedit again") from error
    seen: dict[tuple[object, ...], int] = {}
    for number, row in enumerate(rows, 2):
        # Figure 3 of MEMIT-Merge prints three groups of one metric: the number itself is what tells them apart.
        key = (row.item, row.row, row.model, row.series, row.arm, row.place, row.metric, row.value)
        if key in seen:
            raise ExperimentError(f"{path}, line {number}: the number of line {seen[key]} again; keep one of them")
        seen[key] = number
    return rows


def renamed(
    rows: Iterable[Published],
    *,
    series: Mapping[str, str] | None = None,
    arm: Mapping[str, str] | None = None,
    metric: Mapping[str, str] | None = None,
    place: Mapping[int, int] | None = None,
) -> tuple[Published, ...]:
    """The rows under the names of an experiment, so that they stand beside its numbers; names not given stay.

    The tiny models take fewer edits than full ones: `place` says which of our places stands for which of theirs.
    """
    return tuple(
        replace(
            row,
            series=(series or {}).get(row.series, row.series),
            arm=(arm or {}).get(row.arm, row.arm),
            metric=(metric or {}).get(row.metric, row.metric),
            place=(place or {}).get(row.place, row.place),
        )
        for row in rows
    )


def _rows(path: Path, lines: Iterable[list[str]]) -> Iterator[Published]:
    for number, line in enumerate(lines, 1):
        where = f"{path}, line {number}"
        if number == 1:
            if tuple(line) != _COLUMNS:
                raise ExperimentError(f"{where}: the columns are not {', '.join(_COLUMNS)}; restore the file")
            continue
        if len(line) != len(_COLUMNS):
            raise ExperimentError(f"{where}: {len(line)} cells instead of {len(_COLUMNS)}; quote commas")
        cells = dict(zip(_COLUMNS, line, strict=True))
        empty = [name for name in ("paper", "item", "row", "metric", "unit") if not cells[name].strip()]
        if empty:
            raise ExperimentError(f"{where}: {', '.join(empty)} is empty; fill it in")
        try:
            place, value = int(cells["place"] or 0), float(cells["value"])
        except ValueError as error:
            raise ExperimentError(f"{where}: {error}; place and value take numbers") from error
        if not math.isfinite(value):
            raise ExperimentError(f"{where}: the value is {value}; papers print finite numbers")
        texts = {name: cells[name] for name in _COLUMNS if name not in ("place", "value")}
        yield Published(**texts, place=place, value=value)
