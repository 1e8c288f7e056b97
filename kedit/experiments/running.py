# SPDX-License-Identifier: Apache-2.0
"""Runs the tasks that are missing, in this process, in some of our own, or on any executor; only this one writes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import closing, contextmanager

from kedit.experiments.cells import CellFolder
from kedit.experiments.experiment import ExperimentError
from kedit.experiments.grid import Task, unique
from kedit.experiments.measuring import Outcome, attempt

__all__ = ["missing_tasks", "run"]


def missing_tasks(tasks: Iterable[Task], folder: CellFolder) -> list[Task]:
    """The tasks without a cell, each once."""
    return [task for task in unique(tasks) if folder.get(task) is None]


def run(
    tasks: Iterable[Task], folder: CellFolder, *, executor: Executor | None = None, jobs: int = 1
) -> Generator[Outcome, None, None]:
    """Measure the tasks that have no cell, and store each cell as it comes; gives each outcome once it is stored.

    A task that fails is given as such, and the others go on. Closing the iterator, or an interrupt, drops the tasks
    that are not finished; what is stored stays.

    Args:
        tasks: of one experiment or of many; cells that they share are measured once.
        folder: where cells are.
        executor: any, such as `distributed.Client(...).get_executor()`; stays open. Tasks, outcomes and the function
            between them travel by pickle, so kedit, the models and the file of facts must be where its workers are.
        jobs: processes if no executor is given; with one the tasks run in this process.

    Raises:
        ExperimentError: a damaged file among the cells, another run in this folder, or a worker that was killed.
    """
    if jobs < 1:
        raise ExperimentError(f"{jobs} jobs do nothing; give a number from 1 on")
    return _run(tasks, folder, executor, jobs)


def _run(
    tasks: Iterable[Task], folder: CellFolder, executor: Executor | None, jobs: int
) -> Generator[Outcome, None, None]:
    with folder.alone():
        missing = missing_tasks(tasks, folder)
        with closing(_outcomes(missing, executor, min(jobs, len(missing)))) as outcomes:
            for outcome in outcomes:
                if outcome.cell is not None:
                    folder.put(outcome.task, outcome.cell)
                yield outcome


def _outcomes(tasks: Sequence[Task], executor: Executor | None, jobs: int) -> Generator[Outcome, None, None]:
    if executor is not None:
        yield from _submitted(tasks, executor)
    elif jobs <= 1:
        yield from map(attempt, tasks)
    else:
        with _processes(jobs) as pool:
            yield from _submitted(tasks, pool)


def _submitted(tasks: Sequence[Task], executor: Executor) -> Generator[Outcome, None, None]:
    futures: dict[Future[Outcome], Task] = {executor.submit(attempt, task): task for task in tasks}
    try:
        for future in as_completed(futures):
            try:
                outcome = future.result()
            except BrokenExecutor as error:
                raise ExperimentError(
                    "a worker process was killed, perhaps for want of memory; finished cells are stored, run again, "
                    "with fewer jobs if it was memory"
                ) from error
            except Exception as error:  # the executor's own, such as a lost worker of a cluster
                task = futures[future]
                outcome = Outcome(task, None, f"{task}: {type(error).__name__}: {' '.join(str(error).split())}")
            yield outcome
    finally:
        for future in futures:
            future.cancel()


@contextmanager
def _processes(jobs: int) -> Iterator[Executor]:
    """A pool whose processes end at once when this one is done with them, is interrupted, or is killed."""
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare_worker)
    try:
        yield pool
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare_worker() -> None:
    """Leave interrupts to the parent, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
