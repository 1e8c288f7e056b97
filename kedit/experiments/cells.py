# SPDX-License-Identifier: Apache-2.0
"""Measured cells, a file each: `cells/<24 hex digits>.json`, written whole when it is measured.

    {"schema": 1, "key": {...}, "rows": [[arm, place, metric, value], ...], "seconds": 1.5, "versions": {...}}

The digits are those of the key's hash. A value is a finite number, or "inf" for a perplexity that float cannot hold.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kedit.experiments.experiment import ExperimentError, Row
from kedit.experiments.grid import Task, digest_of
from kedit.files import is_part, write_atomically

__all__ = ["Cell", "CellFolder", "checked_rows"]

SCHEMA = 1
FOLDER, LOCK = "cells", ".lock"
_NAME = re.compile(r"[0-9a-f]{24}\.json")
_FIELDS = {"schema", "key", "rows", "seconds", "versions"}


@dataclass(frozen=True, slots=True)
class Cell:
    """What was measured for one task.

    Attributes:
        key: `Task.key`.
        rows: the numbers, as the protocol gave them.
        seconds: wall time of the measurement, without loading the model.
        versions: of the packages that numbers depend on, where it was measured.
    """

    key: Mapping[str, Any]
    rows: tuple[Row, ...]
    seconds: float
    versions: Mapping[str, str]


class CellFolder:
    """The cells of a folder. One run at a time writes it; anybody may read it meanwhile."""

    def __init__(self, folder: str | Path) -> None:
        """Read what is there; the folder need not exist.

        Raises:
            ExperimentError: a file that is not a whole cell.
        """
        self.folder = Path(folder)
        self._cells: dict[str, Cell] = {}
        self._read()

    def __len__(self) -> int:
        return len(self._cells)

    def __iter__(self) -> Iterator[Cell]:
        return iter(self._cells.values())

    def get(self, task: Task) -> Cell | None:
        """The cell of a task, or None if it is not measured."""
        return self._cells.get(task.digest)

    def put(self, task: Task, cell: Cell) -> None:
        """Write a cell, whole or not at all."""
        data = {
            "schema": SCHEMA,
            "key": dict(cell.key),
            "rows": [[row.arm, row.place, row.metric, _written(row.value)] for row in cell.rows],
            "seconds": cell.seconds,
            "versions": dict(cell.versions),
        }
        text = json.dumps(data, allow_nan=False, sort_keys=True, ensure_ascii=False) + "\n"
        path = self.folder / FOLDER / f"{task.digest}.json"
        write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))
        self._cells[task.digest] = cell

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only run of this folder, which is read again and rid of what a killed run left half written.

        Raises:
            ExperimentError: another run is at work.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise ExperimentError(f"another run writes {self.folder}; wait for it or name another folder") from error
        try:
            for path in self._files():
                if is_part(path):
                    path.unlink()
            self._read()
            yield
        finally:
            lock.release()

    def _files(self) -> list[Path]:
        folder = self.folder / FOLDER
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def _read(self) -> None:
        self._cells = {path.stem: _parsed(path) for path in self._files() if not path.name.startswith(".")}


def checked_rows(rows: Sequence[Row], task: Task) -> tuple[Row, ...]:
    """What a protocol gave, with plain numbers.

    Raises:
        ExperimentError: no rows, one number named twice, or a value that is not a number; infinity is one.
    """
    where = f"protocol {task.protocol!r} with editor {task.editor!r} on {task.model.name}, repeat {task.repeat}"
    found: dict[tuple[str, int, str], Row] = {}
    for row in rows:
        name = (row.arm, int(row.place), row.metric)
        value = float(row.value)
        if math.isnan(value) or value == -math.inf:
            raise ExperimentError(f"{where}: metric {row.metric!r} is {value}; a protocol gives numbers")
        if name in found:
            raise ExperimentError(
                f"{where}: metric {row.metric!r} of arm {row.arm!r} at place {row.place} comes twice; tell them apart"
            )
        found[name] = Row(row.metric, value, row.arm, int(row.place))
    if not found:
        raise ExperimentError(f"{where}: nothing was measured; a protocol gives at least one row")
    return tuple(found.values())


def _written(value: float) -> float | str:
    return "inf" if value == math.inf else value


def _parsed(path: Path) -> Cell:
    try:
        if not _NAME.fullmatch(path.name):
            raise ValueError("a cell's name is 24 hex digits and .json")
        data = json.loads(path.read_text(encoding="utf-8"))
        if set(data) != _FIELDS or data["schema"] != SCHEMA:
            raise ValueError("it has other fields or another schema")
        if digest_of(data["key"]) != path.stem:
            raise ValueError("its key is another cell's")
        rows = tuple(_row(*row) for row in data["rows"])
        if not rows:
            raise ValueError("it holds no rows")
        return Cell(data["key"], rows, float(data["seconds"]), dict(data["versions"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ExperimentError(
            f"{path} is not a whole cell of this version ({error}); remove it and run the experiment again"
        ) from error


def _row(arm: Any, place: Any, metric: Any, value: Any) -> Row:
    if not (isinstance(arm, str) and isinstance(metric, str) and type(place) is int):
        raise ValueError("a row is arm, place, metric and value")
    if value != "inf" and not (isinstance(value, int | float) and math.isfinite(value)):
        raise ValueError(f"{value!r} is no value")
    return Row(metric, float(value), arm, place)
