# SPDX-License-Identifier: Apache-2.0
"""The numbers of an experiment, one a line: every model, series, arm, place, metric and repeat."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from kedit.experiments.cells import CellFolder
from kedit.experiments.experiment import Experiment, ExperimentError
from kedit.experiments.grid import Request, Task, tasks_of
from kedit.files import write_atomically

__all__ = ["TidyRow", "absent", "read_tidy", "tidy_rows", "write_tidy"]


@dataclass(frozen=True, slots=True)
class TidyRow:
    """One number; the fields are the columns of the file, see `Series` and `Row`."""

    experiment: str
    model: str
    series: str
    editor: str
    arm: str
    place: int
    metric: str
    repeat: int
    value: float


COLUMNS = tuple(field.name for field in fields(TidyRow))


def tidy_rows(experiment: Experiment, folder: CellFolder, request: Request) -> Iterator[TidyRow]:
    """What is measured of what was asked: models, then series, repeats, and rows as the protocol gave them."""
    for series, task in tasks_of(experiment, request):
        cell = folder.get(task)
        for row in () if cell is None else cell.rows:
            yield TidyRow(
                experiment.name, task.model.name, series.label, series.editor, row.arm, row.place, row.metric,
                task.repeat, row.value,
            )  # fmt: skip


def absent(experiment: Experiment, folder: CellFolder, request: Request) -> list[Task]:
    """What was asked and is not measured."""
    return [task for _, task in tasks_of(experiment, request) if folder.get(task) is None]


def write_tidy(path: Path, rows: Iterable[TidyRow]) -> None:
    """Write rows as CSV, whole or not at all; numbers come back to the last bit."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(row) for row in rows)
    write_atomically(path, lambda part: part.write_text(text.getvalue(), encoding="utf-8"))


def read_tidy(path: Path) -> list[TidyRow]:
    """Rows of a file that `write_tidy` wrote.

    Raises:
        ExperimentError: it is not there or not such a file.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *lines = csv.reader(file)
        if tuple(header) != COLUMNS:
            raise ValueError(f"columns are not {', '.join(COLUMNS)}")
        return [
            TidyRow(name, model, series, editor, arm, int(place), metric, int(repeat), float(value))
            for name, model, series, editor, arm, place, metric, repeat, value in lines
        ]
    except (OSError, ValueError, TypeError) as error:
        raise ExperimentError(f"{path} is not a table of an experiment ({error}); write it again") from error
