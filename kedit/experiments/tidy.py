# SPDX-License-Identifier: Apache-2.0
"""Measured numbers as tidy rows: one number a line, in CSV."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from kedit.experiments.experiment import ExperimentError
from kedit.files import write_atomically

__all__ = ["Measured", "read_tidy", "write_tidy"]


@dataclass(frozen=True, slots=True)
class Measured:
    """One measured number and what it was measured of.

    Attributes:
        experiment: name of the experiment.
        model: name of the model.
        series: label of the series.
        editor: name of the editor; empty where nothing is edited.
        arm, place, metric, value: as in `Row`.
        repeat: number of the draw.
    """

    experiment: str
    model: str
    series: str
    editor: str
    arm: str
    place: int
    metric: str
    repeat: int
    value: float


_COLUMNS = tuple(field.name for field in fields(Measured))


def write_tidy(rows: Iterable[Measured], path: Path) -> None:
    """Write rows as CSV, in the order given; numbers come back bit for bit."""
    shown = [_COLUMNS, *(astuple(row) for row in rows)]

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(shown)

    write_atomically(path, write)


def read_tidy(path: Path) -> tuple[Measured, ...]:
    """Rows of a CSV file that `write_tidy` wrote.

    Raises:
        ExperimentError: the file cannot be read, or a line of it is no row.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return tuple(_rows(path, csv.reader(file, strict=True)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ExperimentError(f"{path} cannot be read as CSV ({error}); run the experiment again") from error


def _rows(path: Path, lines: Iterable[list[str]]) -> Iterator[Measured]:
    for number, line in enumerate(lines, 1):
        if number == 1:
            if tuple(line) != _COLUMNS:
                raise ExperimentError(f"{path}, line 1: the columns are not {', '.join(_COLUMNS)}; name a tidy CSV")
            continue
        try:
            experiment, model, series, editor, arm, place, metric, repeat, value = line
            row = Measured(experiment, model, series, editor, arm, int(place), metric, int(repeat), float(value))
        except ValueError as error:
            raise ExperimentError(f"{path}, line {number}: {error}; run the experiment again") from error
        if math.isnan(row.value):
            raise ExperimentError(f"{path}, line {number}: the value is not a number; run the experiment again")
        yield row
