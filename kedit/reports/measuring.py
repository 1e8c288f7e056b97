# SPDX-License-Identifier: Apache-2.0
"""The grid of the page of results, as experiments, and its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kedit.editors.registry import load_editor
from kedit.experiments.cells import CellFolder
from kedit.experiments.experiment import Experiment, ExperimentError, Figure, Series
from kedit.experiments.grid import Bench, ModelEntry, Task, request_for, tasks_of
from kedit.experiments.progress import Progress
from kedit.experiments.running import missing_tasks, run
from kedit.reports.cells import METRICS, Cell
from kedit.reports.protocols import COUNT, PROTOCOLS

__all__ = ["BENCH", "cells_of", "measure_all", "tasks_for"]

# These protocols make their own world.
BENCH = Bench(experiments="", protocols="kedit.reports.protocols:MEASURES", source="")


def tasks_for(
    editors: Sequence[str], models: Sequence[ModelEntry], world_seed: int, draws: int, figure_model: str
) -> list[Task]:
    """What the page shows on all models, and what only the figure shows on the model called `figure_model`."""
    table = _experiment(editors, world_seed, draws, figure_only=False)
    tasks = [task for _, task in tasks_of(table, request_for(table, models, BENCH))]
    drawn = [entry for entry in models if entry.name == figure_model]
    if drawn:
        figure = _experiment(editors, world_seed, draws, figure_only=True)
        tasks += [task for _, task in tasks_of(figure, request_for(figure, drawn, BENCH))]
    return tasks


def measure_all(tasks: Sequence[Task], folder: Path, jobs: int) -> CellFolder:
    """Measure what is missing in a folder of cells, with progress on stderr.

    Raises:
        ExperimentError: cells failed; the others are stored.
    """
    cells = CellFolder(folder)
    with Progress(missing_tasks(tasks, cells), cells, jobs=jobs) as progress:
        failed = []
        for outcome in run(tasks, cells, jobs=jobs):
            progress.tell(outcome)
            if outcome.error:
                failed.append(outcome.error)
    if failed:
        raise ExperimentError(f"{len(failed)} cells failed, the first with: {failed[0]}; mend that and go on")
    return cells


def cells_of(tasks: Sequence[Task], folder: CellFolder) -> Iterator[Cell]:
    """The cells of the page: models by name, editors in the order of `tasks`, settings by name, then draws."""
    order = {editor: place for place, editor in enumerate(dict.fromkeys(task.editor for task in tasks))}
    found = [cell for task in tasks for cell in _cells(task, folder)]
    return iter(sorted(found, key=lambda cell: (cell.model, order[cell.editor], cell.setting, cell.draw)))


def _cells(task: Task, folder: CellFolder) -> Iterator[Cell]:
    stored = folder.get(task)
    if stored is None:
        return
    settings: dict[str, dict[str, float]] = {}
    for row in stored.rows:
        settings.setdefault(row.arm, {})[row.metric] = row.value
    for setting, values in settings.items():
        metrics: Mapping[str, float] = {name: values[name] for name in METRICS}
        yield Cell(task.editor, task.model.name, setting, task.repeat, int(values[COUNT]), metrics)


def _experiment(editors: Sequence[str], world_seed: int, draws: int, *, figure_only: bool) -> Experiment:
    sequential = {editor: load_editor(editor).tags.sequential for editor in editors}
    return Experiment(
        name="results",
        paper="kedit",
        item="results",
        title="Editors on the tiny models",
        series=tuple(
            Series(f"{editor} {protocol.name}", protocol.name, editor, parameters={"world_seed": world_seed})
            for editor in editors
            for protocol in PROTOCOLS.values()
            if protocol.figure_only == figure_only and (sequential[editor] or not protocol.sequential)
        ),
        figure=Figure("lines", ("EM",)),
        claims=(),
        repeats=draws,
    )
