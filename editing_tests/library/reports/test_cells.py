# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kedit.reports.cells import Cell, CellError, CellStore, code_fingerprint

CELL = Cell(
    editor="memit", model="tiny", setting="single", draw=0, origin="o", code="c", n=10, seconds=1.0,
    metrics={"ES": 1.0, "PS": 0.5, "NS": 0.25, "S": 3 / 7, "EM": 1.0},
)  # fmt: skip


def test_cells_come_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cells.jsonl"
    CellStore(path).append([CELL, replace(CELL, draw=1)])
    assert list(CellStore(path).cells.values()) == [CELL, replace(CELL, draw=1)]


def test_a_line_that_was_cut_off_is_dropped_and_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    CellStore(path).append([CELL, replace(CELL, draw=1)])
    path.write_bytes(path.read_bytes()[:-20])
    store = CellStore(path)
    assert list(store.cells.values()) == [CELL]
    store.append([replace(CELL, draw=2)])
    assert [cell.draw for cell in CellStore(path).cells.values()] == [0, 2]


@pytest.mark.parametrize("line", ["{}", "[1]", "nonsense", '{"schema": 2}', '{"schema": 1, "editor": "x"}'])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "cells.jsonl"
    CellStore(path).append([CELL])
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(CellError, match=r"line 2 is not a cell"):
        CellStore(path)


@pytest.mark.parametrize("field", ["editor", "model", "setting", "origin", "code"])
def test_what_a_measurement_depends_on_is_in_its_key(field: str) -> None:
    """Pitfall 68: a stored number is never lent to another editor, model, protocol or code; nor to another draw."""
    assert replace(CELL, **{field: "other"}).key != CELL.key  # type: ignore[arg-type]
    assert replace(CELL, draw=7).key != CELL.key


def test_other_weights_or_code_are_other_cells() -> None:
    assert len({CELL.key, replace(CELL, origin="p").key, replace(CELL, code="d").key}) == 3
    assert CELL.key == replace(CELL, seconds=2.0).key
    assert code_fingerprint() == code_fingerprint()
