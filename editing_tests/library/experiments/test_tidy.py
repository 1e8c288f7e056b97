# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from pathlib import Path

import pytest

from kedit.experiments.experiment import ExperimentError
from kedit.experiments.tidy import Measured, read_tidy, write_tidy

ROW = Measured("s2rke-figure-3", "tiny-gpt2", 'a, "b"', "memit", "same", 3, "ES", 0, 0.1 + 0.2)


def test_rows_come_back_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "rows.csv"
    rows = (ROW, Measured("e", "m", "s", "", "", 0, "PPL", 1, math.inf))
    write_tidy(rows, path)
    assert read_tidy(path) == rows
    first = path.read_bytes()
    write_tidy(rows, path)
    assert path.read_bytes() == first
    assert first.startswith(b"experiment,model,series,editor,arm,place,metric,repeat,value\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("e,m,s,,,0,ES,0", "line 2: not enough values"),
        ("e,m,s,,,x,ES,0,1.0", "line 2: invalid literal"),
        ("e,m,s,,,0,ES,0,nan", "line 2: the value is not a number"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "rows.csv"
    write_tidy([], path)
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ExperimentError, match=message):
        read_tidy(path)


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ExperimentError, match="line 1: the columns are not experiment, model"):
        read_tidy(path)
    with pytest.raises(ExperimentError, match="cannot be read"):
        read_tidy(tmp_path / "none.csv")
