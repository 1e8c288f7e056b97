# SPDX-License-Identifier: Apache-2.0
"""The summary of many runs, on reports made by hand."""

from __future__ import annotations

import json
import math

import pytest

from kedit.gate import flakiness
from kedit.gate.flakiness import Setting, main, settings, summary


def row(measured, status="passed", *, metric="ES", threshold=0.8, **parameters):
    return {
        "property": "efficacy.single",
        "model": "tiny-gpt2",
        "parameters": {**parameters, "metric": metric},
        "measured": measured,
        "threshold": threshold,
        "status": status,
        "reason": "",
        "seconds": 0.1,
    }


def report(*rows, editor="memit"):
    return {"schema": 1, "editor": editor, "seed": 0, "results": list(rows)}


def rows_of(*reports):
    return summary(dict(zip(settings(len(reports)), reports, strict=True)))["rows"]


def test_the_settings_vary_seed_processes_and_threads():
    found = settings(20)
    assert found[:4] == [Setting(0, 1, 1), Setting(1, 2, 1), Setting(2, 1, 2), Setting(3, 2, 1)]
    assert len({one.seed for one in found}) == len({one.name for one in found}) == 20
    assert settings(4) == found[:4]


def test_spread_and_margin_of_a_number():
    (found,) = rows_of(*(report(row(value)) for value in (0.9, 1.0, 0.95)))
    assert (found["n"], found["min"], found["max"], found["threshold"]) == (3, 0.9, 1.0, 0.8)
    assert math.isclose(found["mean"], 0.95)
    assert math.isclose(found["standard_deviation"], 0.05)
    assert math.isclose(found["margin"], 0.1)
    assert (found["statuses"], found["verdict_changes"]) == ({"passed": 3}, 0)


def test_a_known_failure_has_its_margin_on_the_other_side():
    (found,) = rows_of(report(row(0.3, "xfailed")), report(row(0.5, "xfailed")))
    assert math.isclose(found["margin"], 0.3)
    assert found["verdict_changes"] == 0


def test_a_number_on_both_sides_changes_its_verdict():
    (found,) = rows_of(report(row(0.9)), report(row(0.7, "failed")), report(row(0.95)))
    assert found["margin"] == 0
    assert (found["statuses"], found["verdict_changes"]) == ({"failed": 1, "passed": 2}, 1)


def test_the_worst_of_several_numbers_in_a_test_counts():
    (found,) = rows_of(report(row(0.9), row(0.1, "failed"), row(1.0)), report(row(0.9), row(0.9)))
    assert (found["min"], found["verdict_changes"]) == (0.1, 1)


def test_a_row_that_some_run_lacks_is_a_change():
    found = rows_of(report(row(0.9), row(None, "skipped", threshold=None, facts=2)), report(row(0.9)))
    assert [one["statuses"] for one in found] == [{"missing": 1, "skipped": 1}, {"passed": 2}]
    assert [one["verdict_changes"] for one in found] == [1, 0]
    assert found[0]["margin"] is None


def test_reports_of_two_editors_are_refused():
    with pytest.raises(ValueError, match="reports of several editors: memit, rome"):
        rows_of(report(), report(editor="rome"))


def test_only_missing_runs_are_made(tmp_path, monkeypatch, capsys):
    made = []

    def start(call, **options):
        made.append(call)
        folder = call[call.index("--editing-report") + 1]
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "report.json").write_text(json.dumps(report(row(0.9))))
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr(flakiness.subprocess, "run", start)
    call = ["--editor", "memit", "--model", "tiny-gpt2", "--out", str(tmp_path)]
    assert main([*call, "--runs", "1"]) == 0
    assert main([*call, "--runs", "3", "-k", "efficacy"]) == 0
    assert [one[one.index("--editing-seed") + 1] for one in made] == ["0", "1", "2"]
    assert [one[one.index("--editing-threads") + 1] for one in made] == ["1", "1", "2"]
    assert [one[one.index("-n") + 1] for one in made] == ["1", "2", "1"]
    assert made[1][made[1].index("-k") + 1] == "efficacy"
    assert json.loads((tmp_path / "flakiness.json").read_text())["rows"][0]["n"] == 3
    assert capsys.readouterr().out.endswith("3 runs, 1 numbers, 0 of changing verdict\n")
    assert not list(tmp_path.glob("*.part"))


def test_a_run_without_a_report_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(flakiness.subprocess, "run", lambda *_, **__: type("Done", (), {"returncode": 4}))
    with pytest.raises(RuntimeError, match=r"status 4 and without a report; read .*seed-0-workers-1-threads-1\.log"):
        main(["--editor", "memit", "--out", str(tmp_path), "--runs", "1"])
