# SPDX-License-Identifier: Apache-2.0
"""Files that are either the old ones or the new ones, and the folder for what can be measured again, by one process at
a time."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["cache_folder", "is_part", "one_at_a_time", "write_atomically"]

CACHE_VARIABLE = "KEDIT_CACHE"
WAIT = 600.0


def cache_folder() -> Path:
    """Where second moments are kept: `$KEDIT_CACHE`, else `kedit` in the user's cache folder."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kedit"


@contextmanager
def one_at_a_time(path: Path, *, wait: float = WAIT, refusal: Exception | None = None) -> Iterator[None]:
    """Be the only process in here, by a lock on the file `path`, which stays.

    It is a lock of the operating system, which ends with the process that holds it. Without a `refusal` it only saves
    work: where the folder cannot be written, or after `wait` seconds, the process goes on without it.

    Args:
        path: is made, with its folder.
        wait: seconds, for another process to leave.
        refusal: is raised if another process is still in here after that.

    Raises:
        OSError: there is a `refusal`, and the file cannot be made.
    """
    lock = FileLock(path, timeout=wait)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        if refusal is not None:
            raise refusal from error
    except (OSError, NotImplementedError):
        if refusal is not None:
            raise
    try:
        yield
    finally:
        lock.release()


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, flush it to disk and rename it; a kill leaves the old file or the new.

    The folder is flushed too, so that files written one after the other reach the disk in that order.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    _flush_folder(path.parent)


def is_part(path: Path) -> bool:
    """Whether this is a file that `write_atomically` had not finished when its process was killed."""
    tail = path.name.rpartition(".")[2]
    return path.name.startswith(".") and len(tail) == 32 and set(tail) <= set("0123456789abcdef")


def _flush_folder(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):  # a system that cannot open folders flushes them itself
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
