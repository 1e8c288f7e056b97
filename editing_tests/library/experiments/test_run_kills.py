# SPDX-License-Identifier: Apache-2.0
"""Kills at many points of a run: the next one measures what is missing, and the tables are those of an unbroken run.

A forked process works and kills itself with SIGKILL at its k-th operation on files, or in the middle of a write.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from editing_tests.library.experiments.quick_protocols import BENCH, EXPERIMENTS, LOG, entry, grid
from kedit.experiments.cells import CellFolder
from kedit.experiments.collecting import report_folder
from kedit.experiments.grid import request_for
from kedit.experiments.requests import write_requests
from kedit.experiments.running import run
from kedit.files import is_part

KILLS = 12
NAMES = ("one", "other")


def work(folder: Path) -> None:
    """What the command does."""
    tasks = grid(*NAMES)
    cells = CellFolder(folder)
    write_requests(folder, {name: request_for(EXPERIMENTS[name], [entry()], BENCH) for name in NAMES})
    for outcome in run(tasks, cells):
        assert outcome.cell, outcome.error


def forked(folder: Path, at: int | None) -> tuple[int, int]:
    """Work in a child and kill it at operation `at`; its wait status and number of operations."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, str(_counted(folder, at)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    told = os.read(reader, 64)
    os.close(reader)
    return os.waitpid(child, 0)[1], int(told or 0)


def _counted(folder: Path, at: int | None) -> int:
    seen = 0

    def step() -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(event: str, given: tuple[Any, ...]) -> None:
        if event in ("open", "os.rename", "os.remove", "os.mkdir") and str(given[0]).startswith(str(folder)):
            step()

    def writing(path: Path, text: str, **_given: str) -> None:
        with path.open("w", encoding="utf-8") as file:
            file.write(text[: len(text) // 2])
            file.flush()
            step()
            file.write(text[len(text) // 2 :])

    Path.write_text = writing  # type: ignore[method-assign,assignment]
    sys.addaudithook(watch)
    work(folder)
    return seen


def tables(folder: Path) -> list[str]:
    """All CSV files of a whole folder."""
    reported = list(report_folder(folder, EXPERIMENTS))
    assert [one.experiment.name for one in reported] == list(NAMES)
    assert not [one for one in reported if one.missing or not one.is_current]
    return [one.table.read_text(encoding="utf-8") for one in reported if one.table]


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry()  # loaded once, before the processes part
    status, total = forked(tmp_path / "whole", None)
    assert status == 0 and total > 4 * KILLS
    expected = tables(tmp_path / "whole")
    assert all(expected)
    stored = []
    for at in sorted(random.Random(0).sample(range(1, total + 1), KILLS)):
        folder, log = tmp_path / str(at), tmp_path / f"{at}.log"
        monkeypatch.setenv(LOG, str(log))
        status, _ = forked(folder, at)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, at
        before = len(CellFolder(folder))
        begun = len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0
        assert before in (begun, begun - 1), at  # at most the cell that was being written is lost
        work(folder)
        lines = log.read_text(encoding="utf-8").splitlines()
        assert len(lines) - begun == len(set(lines)) - before, at  # no finished cell was measured again
        assert tables(folder) == expected, at
        assert not [path for path in folder.rglob("*") if is_part(path) and path.parent.name == "cells"], at
        stored.append(before)
    assert min(stored) == 0 < len(set(stored)) - 3  # early and late
