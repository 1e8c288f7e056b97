# SPDX-License-Identifier: Apache-2.0
"""Separation of thresholds, from hand-made reports."""

from __future__ import annotations

import json

import pytest

from kedit.gate.calibrate import main

THRESHOLDS = """\
[[threshold]]
property = "efficacy.single"
metric = "ES"
value = 0.8
direction = "min"
unit = "share of facts"
source = "a paper"
margin = 0.0

[[threshold]]
property = "contract.pure-edit"
metric = "changed_aspects"
value = 0
direction = "max"
unit = "aspects"
source = "exact requirement"
margin = 0
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "thresholds.toml").write_text(THRESHOLDS)

    def write(editor: str, seed: int, es: float) -> None:
        rows = [("efficacy.single", "ES", es), ("contract.pure-edit", "changed_aspects", 0.0), ("a", "b", None)]
        results = [
            {"property": p, "model": "m", "parameters": {"metric": metric}, "measured": value}
            for p, metric, value in rows
        ]
        place = tmp_path / f"{editor}-{seed}"
        place.mkdir()
        (place / "report.json").write_text(json.dumps({"schema": 1, "editor": editor, "results": results}))

    write("good", 0, 0.95)
    write("good", 1, 0.97)
    write("bad", 0, 0.2)
    write("bad", 1, 0.3)
    return tmp_path


def test_nearest_numbers_margin_and_spread(folder, capsys):
    assert main([str(folder), "--thresholds", str(folder / "thresholds.toml")]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert "good 0.95 (good@m), bad 0.3 (bad@m), gap 0.65, margin 0.15, spread 0.0707, n 4  NEAR THE BOUND" in first
    assert "good 0 (" in second
    assert "NEAR" not in second


@pytest.mark.parametrize("remaining", ["good", "both"])
def test_sides_nearer_than_three_spreads_are_called_near(folder, capsys, remaining):
    for report in folder.rglob("report.json"):
        text = report.read_text()
        report.write_text(text.replace("0.95", "0.85").replace("0.3}", "0.75}").replace("0.2}", "0.7}"))
        if remaining == "good" and "bad" in text:
            report.unlink()
    assert main([str(folder), "--thresholds", str(folder / "thresholds.toml")]) == 1
    first = capsys.readouterr().out.splitlines()[0]
    assert first.endswith("NEAR")


def test_margins_are_written_where_they_are_measured(folder):
    path = folder / "thresholds.toml"
    main([str(folder), "--thresholds", str(path), "--update"])
    assert path.read_text() == THRESHOLDS.replace("margin = 0.0", "margin = 0.15")


def test_other_files_are_refused(folder):
    (folder / "report.json").write_text('{"schema": 2}')
    with pytest.raises(ValueError, match="not a report of schema 1"):
        main([str(folder), "--thresholds", str(folder / "thresholds.toml")])
