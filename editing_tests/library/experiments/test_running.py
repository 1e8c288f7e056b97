# SPDX-License-Identifier: Apache-2.0
"""A grid gives the same cells wherever it runs, and goes on where it was."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from editing_tests.library.experiments.quick_protocols import FIRST, LOG, grid, made
from kedit.experiments.cells import CellFolder
from kedit.experiments.experiment import ExperimentError, Row, Series
from kedit.experiments.grid import Task
from kedit.experiments.measuring import Outcome, attempt
from kedit.experiments.running import missing_tasks, run

Rows = dict[str, tuple[Row, ...]]


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return grid("one", "other")


@pytest.fixture(scope="module")
def serial(tasks: list[Task], tmp_path_factory: pytest.TempPathFactory) -> Rows:
    folder = CellFolder(tmp_path_factory.mktemp("serial"))
    assert all(outcome.cell for outcome in run(tasks, folder))
    return rows_in(folder.folder)


def rows_in(folder: Path) -> Rows:
    """What is on disk."""
    return {cell.key["editor"] + str(cell.key["repeat"]): cell.rows for cell in CellFolder(folder)}


def measured(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


def test_cells_that_experiments_share_are_measured_once(serial: Rows, tasks: list[Task]) -> None:
    assert len(tasks) == 9 + 6
    assert len(serial) == 9 + 3  # `other` repeats a series of `one` under another label
    assert len(set(serial.values())) == len(serial)


def test_two_processes_give_the_same_and_end_with_an_interrupt(
    serial: Rows, tasks: list[Task], tmp_path: Path
) -> None:
    """The last cells take a minute; the interrupt comes before, and does not wait for them."""
    slow = grid(made("slow", Series("slow", "numbers", "ft", parameters={"sleep": 60}), repeats=5))[3:]
    assert not multiprocessing.active_children()
    folder = CellFolder(tmp_path)
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        for done, outcome in enumerate(run([*tasks, *slow], folder, jobs=2), start=1):
            assert outcome.cell
            if done == len(serial):
                signal.raise_signal(signal.SIGINT)
    assert time.monotonic() - begin < 50
    assert not multiprocessing.active_children()
    assert rows_in(tmp_path) == serial


def test_a_dask_cluster_of_two_gives_the_same(serial: Rows, tasks: list[Task], tmp_path: Path) -> None:
    """Its workers are threads: two more processes that import torch take ten seconds, and the test above has some."""
    distributed = pytest.importorskip("distributed", reason="needs the extra kedit[distributed]")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        outcomes = list(run(tasks, CellFolder(tmp_path), executor=client.get_executor()))
    assert not [outcome.error for outcome in outcomes if outcome.error]
    assert rows_in(tmp_path) == serial


def test_what_travels_is_plain(tasks: list[Task]) -> None:
    assert pickle.loads(pickle.dumps(tasks[0])) == tasks[0]  # noqa: S301
    outcome = attempt(tasks[0])
    assert pickle.loads(pickle.dumps(outcome)) == outcome  # noqa: S301


def test_any_executor_and_many_threads(serial: Rows, tasks: list[Task], tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as executor:
        assert len(list(run(tasks, CellFolder(tmp_path), executor=executor))) == len(serial)
        alone = run(grid(made("alone", Series("x", "alone"))), CellFolder(tmp_path / "alone"), executor=executor)
        assert not [outcome.error for outcome in alone if outcome.error]
        assert executor.submit(int, "7").result() == 7  # it stays open
    assert rows_in(tmp_path) == serial


def test_only_what_is_missing_is_measured(
    serial: Rows, tasks: list[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    folder = CellFolder(tmp_path)
    with closing(run(tasks, folder)) as outcomes:
        for _ in range(5):
            next(outcomes)
    assert len(measured(tmp_path / "log")) == len(folder) == 5
    assert len(list(run(tasks, CellFolder(tmp_path)))) == len(serial) - 5
    assert len(measured(tmp_path / "log")) == len(set(measured(tmp_path / "log"))) == len(serial)
    assert not list(run(tasks, CellFolder(tmp_path)))
    assert rows_in(tmp_path) == serial


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ("failing", "ZeroDivisionError: nothing to divide by"),
        ("undefined", "protocol 'undefined' with editor 'rome' on tiny-gpt2, repeat 0: metric 'b' is nan"),
        ("twice", "metric 'a' of arm '' at place 0 comes twice"),
        ("empty", "nothing was measured"),
        ("spoiling", "protocol 'spoiling' changed the model"),
        ("none", "there is no protocol 'none'"),
    ],
)
def test_a_cell_that_fails_is_told_and_the_others_are_measured(protocol: str, message: str, tmp_path: Path) -> None:
    folder = CellFolder(tmp_path)
    outcomes = list(run(grid(made("bad", Series("x", protocol, "rome"), FIRST, repeats=1)), folder))
    assert [bool(outcome.cell) for outcome in outcomes] == [False, True]
    assert message in outcomes[0].error
    assert "\n" not in outcomes[0].error
    assert len(list((tmp_path / "cells").iterdir())) == len(folder) == 1


class Losing(Executor):
    """An executor that loses its first task, as a cluster loses a worker."""

    def __init__(self) -> None:
        self.lost = 0

    def submit(self, work: Callable[..., Outcome], /, *given: object, **named: object) -> Future[Outcome]:  # type: ignore[override]
        future: Future[Outcome] = Future()
        if not self.lost:
            self.lost = 1
            future.set_exception(ConnectionError("the worker went away"))
        else:
            future.set_result(work(*given, **named))
        return future


def test_a_lost_worker_is_a_cell_that_failed(tmp_path: Path) -> None:
    outcomes = list(run(grid(made("lost", FIRST)), CellFolder(tmp_path), executor=Losing()))
    assert sorted(outcome.error for outcome in outcomes) == [
        "", "", "tiny-gpt2 ft numbers repeat 0: ConnectionError: the worker went away"
    ]  # fmt: skip


def test_one_run_a_folder(tasks: list[Task], tmp_path: Path) -> None:
    with CellFolder(tmp_path).alone(), pytest.raises(ExperimentError, match="another run writes"):
        list(run(tasks, CellFolder(tmp_path)))
    assert len(missing_tasks(tasks, CellFolder(tmp_path))) == 12


def test_a_run_needs_a_job(tasks: list[Task], tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="0 jobs do nothing"):
        list(run(tasks, CellFolder(tmp_path), jobs=0))
