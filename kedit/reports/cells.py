# SPDX-License-Identifier: Apache-2.0
"""Measured cells, kept as JSON lines so that an interrupted run goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import kedit

__all__ = ["METRICS", "Cell", "CellError", "CellStore", "code_fingerprint"]

METRICS = ("ES", "PS", "NS", "S", "EM")
SCHEMA = 1
# What a cell's numbers depend on; the rest of the package only shows them.
_MEASURING = (
    "facts.py",
    "updates.py",
    "models",
    "statistics",
    "locate_then_edit",
    "hypernetworks",
    "editors",
    "metrics",
    "worlds",
)


class CellError(ValueError):
    """A file of cells that cannot be read."""


@dataclass(frozen=True)
class Cell:
    """The metrics of one editor on one model in one setting and draw.

    Attributes:
        editor, model, setting: names.
        draw: number of the seeded choice of facts.
        origin: fingerprint of the unedited model.
        code: fingerprint of the code that measured.
        n: facts evaluated.
        seconds: wall time of the protocol that gave it.
        metrics: name -> value.
    """

    editor: str
    model: str
    setting: str
    draw: int
    origin: str
    code: str
    n: int
    seconds: float
    metrics: Mapping[str, float]

    @property
    def key(self) -> tuple[str, str, str, int, str, str]:
        """What makes two cells the same measurement."""
        return self.editor, self.model, self.setting, self.draw, self.origin, self.code


class CellStore:
    """An append-only file of cells, one JSON object a line; a line that a kill cut off is dropped."""

    def __init__(self, path: Path) -> None:
        """Read what is there.

        Raises:
            CellError: a whole line is not a cell of this schema.
        """
        self.path = path
        self.cells: dict[tuple[str, str, str, int, str, str], Cell] = {}
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        whole, newline, cut = text.rpartition("\n")
        for number, line in enumerate(whole.splitlines(), start=1):
            cell = self._parse(line, number)
            self.cells[cell.key] = cell
        if cut:
            with path.open("r+b") as file:
                file.truncate(len((whole + newline).encode()))

    def _parse(self, line: str, number: int) -> Cell:
        try:
            record = json.loads(line)
            if record.pop("schema") != SCHEMA:
                raise ValueError("another schema")
            return Cell(**record)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CellError(
                f"{self.path}, line {number} is not a cell ({error}); remove the line or start with --fresh"
            ) from error

    def append(self, cells: Iterable[Cell]) -> None:
        """Add cells with one write, flushed to disk."""
        fresh = list(cells)
        lines = "".join(json.dumps({"schema": SCHEMA, **asdict(cell)}, sort_keys=True) + "\n" for cell in fresh)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab", buffering=0) as file:
            file.write(lines.encode())
            os.fsync(file.fileno())
        self.cells.update({cell.key: cell for cell in fresh})


def code_fingerprint() -> str:
    """Hash over the sources that a measurement depends on, so that old cells are never mixed with new ones."""
    package = Path(kedit.__file__).parent
    sources = sorted(
        source
        for name in _MEASURING
        for source in ([package / name] if name.endswith(".py") else (package / name).rglob("*.*"))
        if source.suffix in (".py", ".toml")
    )
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.relative_to(package).as_posix().encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
