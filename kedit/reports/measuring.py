# SPDX-License-Identifier: Apache-2.0
"""Run the protocols that are missing, in processes of one thread each."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers.utils.logging import disable_progress_bar

from kedit.editors.registry import load_editor
from kedit.models.language_model import LanguageModel
from kedit.reports.cells import Cell, CellStore, code_fingerprint
from kedit.reports.protocols import PROTOCOLS, Protocol
from kedit.worlds.sampling import Sampler
from kedit.worlds.world import World

__all__ = ["Task", "measure_all", "missing_tasks", "run_task"]


@dataclass(frozen=True)
class Task:
    """One protocol of one editor on one model folder in one draw."""

    editor: str
    folder: Path
    world_seed: int
    protocol: str
    draw: int


def run_task(task: Task, code: str) -> list[Cell]:
    """Measure one task; the cells of all its settings."""
    model = LanguageModel.from_pretrained(task.folder)
    sampler = Sampler(World.generate(task.world_seed))
    start = time.perf_counter()
    found = PROTOCOLS[task.protocol].measure(load_editor(task.editor), model, sampler, task.draw)
    seconds = round(time.perf_counter() - start, 3)
    return [
        Cell(
            editor=task.editor,
            model=task.folder.name,
            setting=setting,
            draw=task.draw,
            origin=model.origin,
            code=code,
            n=evaluation.n,
            seconds=seconds,
            metrics={
                "ES": evaluation.es,
                "PS": evaluation.ps,
                "NS": evaluation.ns,
                "S": evaluation.s,
                "EM": evaluation.em,
            },
        )
        for setting, evaluation in found.items()
    ]


def missing_tasks(
    store: CellStore, editors: Sequence[str], folders: Sequence[Path], world_seed: int, draws: int, figure_model: str
) -> list[Task]:
    """The tasks whose cells are not all stored for this code and these weights, in a fixed order.

    What only the figure shows is measured on the folder called `figure_model` only.
    """
    code = code_fingerprint()
    tags = {name: load_editor(name).tags for name in editors}
    origins = {folder: LanguageModel.from_pretrained(folder).origin for folder in folders}

    def missing(protocol: Protocol, editor: str, folder: Path, draw: int) -> bool:
        if protocol.sequential and not tags[editor].sequential:
            return False
        if protocol.figure_only and folder.name != figure_model:
            return False
        keys = [(editor, folder.name, setting, draw, origins[folder], code) for setting in protocol.settings]
        return any(key not in store.cells for key in keys)

    return [
        Task(editor, folder, world_seed, protocol.name, draw)
        for draw in range(draws)
        for folder in folders
        for editor in editors
        for protocol in PROTOCOLS.values()
        if missing(protocol, editor, folder, draw)
    ]


def measure_all(tasks: Sequence[Task], store: CellStore, jobs: int) -> Iterator[Task]:
    """Run tasks and store their cells; gives each task once it is stored.

    On an interrupt the tasks that have not begun are dropped; what is stored stays.
    """
    code = code_fingerprint()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_prepare_worker) as pool:
        futures: dict[Future[list[Cell]], Task] = {pool.submit(run_task, task, code): task for task in tasks}
        try:
            for future in as_completed(futures):
                store.append(future.result())
                yield futures[future]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _prepare_worker() -> None:
    """One thread, and no progress bars of model loading across ours."""
    torch.set_num_threads(1)
    disable_progress_bar()
