# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from kedit.reports.cells import Cell
from kedit.reports.figure import FigureError, draw_figure, series
from kedit.reports.table import results_page, spread


def cell(editor: str, setting: str, draw: int, value: float, model: str = "tiny") -> Cell:
    metrics = dict.fromkeys(("ES", "PS", "NS", "S", "EM"), value)
    return Cell(editor, model, setting, draw, n=8, metrics=metrics)


CELLS = [
    *(cell("memit", "same-8", draw, value) for draw, value in enumerate((0.0, 0.25, 0.5))),
    *(cell("memit", "distinct-8", draw, value) for draw, value in enumerate((1.0, 1.0, 1.0))),
    *(cell("rome", "single", draw, 1.0) for draw in range(3)),
]


def test_spread_is_the_sample_deviation() -> None:
    assert str(spread([0.0, 0.25, 0.5])) == "0.25 ± 0.25"
    assert str(spread([0.5])) == "0.50"
    with pytest.raises(ValueError, match="no draws"):
        spread([])


def test_the_page_shows_means_spread_and_gaps() -> None:
    page = results_page(CELLS, {"versions": "torch 1"}, ["rome"])
    assert "| 8 same | 0.25 ± 0.25 | – |" in page
    assert "| 8 | -0.75 ± 0.25 | – |" in page  # SD, paired by draw
    assert "| 1 | rome | " + "1.00 ± 0.00 | " * 5 + "8 |" in page
    assert "n = 3 draws, seeds 0, 1, 2" in page
    assert "versions: torch 1" in page
    assert "rome: one fact a call" in page


def test_the_figure_is_the_same_bytes_for_the_same_cells(tmp_path: Path) -> None:
    one, other = tmp_path / "one.svg", tmp_path / "other.svg"
    draw_figure(CELLS, one, ["rome"])
    draw_figure(CELLS, other, ["rome"])
    assert one.read_bytes() == other.read_bytes()
    assert series(CELLS, "memit", "same", (4, 8))[8].mean == 0.25


def test_a_figure_shows_one_model(tmp_path: Path) -> None:
    with pytest.raises(FigureError, match="one model"):
        draw_figure([*CELLS, cell("memit", "same-8", 0, 1.0, model="other")], tmp_path / "figure.svg")
