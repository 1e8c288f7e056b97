# SPDX-License-Identifier: Apache-2.0
"""The numbers of a folder of cells: the tidy table of each experiment that was run there, and what is made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kedit.experiments.cells import CellFolder
from kedit.experiments.experiment import Experiment, ExperimentError
from kedit.experiments.grid import Request, Task, tasks_of
from kedit.experiments.requests import read_requests
from kedit.experiments.tidy import Measured, write_tidy

__all__ = ["Report", "Reported", "absent", "collected", "report_folder"]

Report = Callable[[Experiment, Sequence[Measured], Path, Sequence[str]], object]
"""Writes what it makes of an experiment's rows into a folder; is told which cells are missing."""


@dataclass(frozen=True, slots=True)
class Reported:
    """What there is of an experiment.

    Attributes:
        experiment: which.
        table: the tidy table; None where nothing is measured.
        asked: how many cells belong to it.
        missing: those that are not measured.
        is_current: whether the sources that measured are those of this process.
        problem: why there is a table and no report; empty if there is one.
    """

    experiment: Experiment
    table: Path | None
    asked: int
    missing: Sequence[Task]
    is_current: bool
    problem: str = ""


def collected(experiment: Experiment, folder: CellFolder, request: Request) -> Iterator[Measured]:
    """What is measured of what was asked: models, then series, repeats, and rows as the protocol gave them."""
    for series, task in tasks_of(experiment, request):
        cell = folder.get(task)
        for row in () if cell is None else cell.rows:
            yield Measured(
                experiment.name, task.model.name, series.label, series.editor, row.arm, row.place, row.metric,
                task.repeat, row.value,
            )  # fmt: skip


def absent(experiment: Experiment, folder: CellFolder, request: Request) -> list[Task]:
    """What was asked and is not measured."""
    return [task for _, task in tasks_of(experiment, request) if folder.get(task) is None]


def report_folder(
    folder: Path, experiments: Mapping[str, Experiment], report: Report | None = None
) -> Iterator[Reported]:
    """Write `<name>.csv` of every experiment that was run in this folder, then let `report` write its files there.

    Nothing is measured and no model is loaded. A report that cannot be made, of numbers that other sources gave, say,
    keeps no other from being made.

    Raises:
        ExperimentError: nothing was run here, a file is damaged, or an experiment of the folder is not known.
    """
    requests = read_requests(folder)
    if not requests:
        raise ExperimentError(f"no experiment was run in {folder}; start one with kedit experiment run")
    cells = CellFolder(folder)
    for name, request in requests.items():
        if name not in experiments:
            raise ExperimentError(f"{folder} was made for an experiment {name!r} that is not known; use its kedit")
        experiment = experiments[name]
        missing = absent(experiment, cells, request)
        rows = list(collected(experiment, cells, request))
        table = folder / f"{name}.csv" if rows else None
        problem = ""
        if table is not None:
            write_tidy(rows, table)
            if report is not None:
                try:
                    report(experiment, rows, folder, [str(task) for task in missing])
                except ExperimentError as error:
                    problem = str(error)
        asked = len(experiment.series) * len(request.models) * request.repeats
        yield Reported(experiment, table, asked, missing, request.code.is_current, problem)
