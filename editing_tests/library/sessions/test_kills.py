# SPDX-License-Identifier: Apache-2.0
"""Kills at fifty points of apply, undo, commit and save: what is loaded after is the old session or the new one, whole.

A forked process works and kills itself with SIGKILL just before, or in the middle of, its k-th operation on files.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from editing_tests.library.sessions.comparing import counting, fresh, loaded, seen, seen_at_all_depths
from editing_tests.library.sessions.counting import fact
from kedit.sessions import EditSession
from kedit.sessions.folders import read_manifest

KILLS = 50
WATCHED = ("open", "os.rename", "os.remove", "os.mkdir", "os.scandir")

Work = Callable[[EditSession], object]
# What one process does: the work, each followed by a save.
SCRIPT: tuple[Work, ...] = (
    lambda session: session.apply([fact(0)]),
    lambda session: session.apply([fact(1), fact(2)]),
    lambda session: session.undo(),
    lambda session: session.apply([fact(3)]),
    lambda session: session.commit(),
    lambda session: session.apply([fact(4)]),
)


def work(folder: Path, saved: Callable[[], object]) -> None:
    session = counting(memory=True)
    for act in SCRIPT:
        act(session)
        session.save(folder)
        saved()


def count_operations(folder: Path, at: int | None, saved: Callable[[], object]) -> int:
    """Do all the work; kill this process at operation `at`. Returns the number of operations.

    Events of files in `folder` are counted, flushes, and the middle of every write.
    """
    seen = 0

    def step() -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if event in WATCHED and str(args[0]).startswith(str(folder)):
            step()

    flush, write = os.fsync, Path.write_bytes

    def flushing(descriptor: int) -> None:
        step()
        flush(descriptor)

    def writing(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
            file.flush()
            step()
            return file.write(data[len(data) // 2 :])

    sys.addaudithook(watch)
    os.fsync, Path.write_bytes = flushing, writing  # type: ignore[assignment,method-assign]
    try:
        work(folder, saved)
    finally:
        os.fsync, Path.write_bytes = flush, write  # type: ignore[method-assign]
    return seen


def forked(folder: Path, at: int | None) -> tuple[int, int, int]:
    """Work in a child; returns its wait status, the number of finished saves and that of its operations."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            total = count_operations(folder, at, lambda: os.write(writer, b"."))
            os.write(writer, f"{total}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    told = b""
    while part := os.read(reader, 4096):
        told += part
    os.close(reader)
    _, status = os.waitpid(child, 0)
    return status, told.count(b"."), int(told.strip(b".") or 0)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What the session is after each save, at all depths; before the first there is none."""
    folder = tmp_path_factory.mktemp("whole") / "s"
    found: list[Any] = [None]
    work(folder, lambda: found.append(seen_at_all_depths(loaded(folder))))
    return found


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> int:
    status, saves, total = forked(tmp_path_factory.mktemp("count") / "s", None)
    assert (status, saves) == (0, len(SCRIPT))
    assert total > 3 * KILLS
    return total


def points(total: int) -> list[int]:
    return sorted(random.Random(0).sample(range(1, total + 1), KILLS))


def listing(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def named(folder: Path) -> set[str]:
    """The manifest and what it names."""
    manifest, _ = read_manifest(folder)
    parts = (*manifest.updates, *manifest.states)
    tensors = {f"tensors/{digest}.safetensors" for part in parts for digest in part.tensors}
    return {"session.json", *(part.file for part in parts), *tensors}


def test_a_kill_leaves_the_old_session_or_the_new(operations: int, expected: list[Any], tmp_path: Path) -> None:
    outcomes = []
    for at in points(operations):
        folder = tmp_path / str(at) / "s"
        status, saves, _ = forked(folder, at)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, at
        if (folder / "session.json").exists():
            session, found = loaded(folder), seen_at_all_depths(loaded(folder))
        else:
            session, found = counting(memory=True), None
        assert found in (expected[saves], expected[saves + 1]), at
        outcomes.append(found == expected[saves + 1])
        # The next save removes what the killed one left behind.
        session.apply([fact(9)])
        session.save(folder)
        assert listing(folder) == named(folder), at
        assert seen(loaded(folder)) == seen(session), at
    assert 0 < sum(outcomes) < KILLS  # kills before the manifest's new name, and after


def test_the_script_is_not_trivial(expected: list[Any]) -> None:
    assert [None if one is None else len(one) for one in expected] == [None, 2, 3, 2, 3, 1, 2]
    assert fresh().fingerprint() == expected[1][-1][0]
