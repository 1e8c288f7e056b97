# SPDX-License-Identifier: Apache-2.0
"""`kedit experiment list`, `run` and `report`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from editing_tests.library.experiments.quick_protocols import BENCH, EXPERIMENTS, FIRST, HERE, grid, made
from kedit.cli import parser
from kedit.commands import experiments, running
from kedit.commands.answers import Answer
from kedit.experiments.cells import Cell
from kedit.experiments.experiment import Experiment, ExperimentError, Row, Series
from kedit.experiments.measuring import Outcome
from kedit.experiments.progress import Estimate, Progress
from kedit.experiments.tidy import Measured, read_tidy


def answer(*words: object, **more: Any) -> Answer:
    return experiments.experiment(parser().parse_args(["experiment", *map(str, words)]), BENCH, **more)


def test_list_names_them() -> None:
    found = answer("list", "--json")
    assert [row["name"] for row in found.data["experiments"]] == list(EXPERIMENTS)
    assert found.data["experiments"][0]["cells"] == 9
    assert found.lines[1] == "other   kedit, figure 1: Numbers. (6 cells)"


def test_run_and_report(tmp_path: Path) -> None:
    told = []

    def report(experiment: Experiment, rows: Sequence[Measured], out: Path, missing: Sequence[str]) -> None:
        told.append((experiment.name, len(rows), out, list(missing)))

    failed = answer("run", "all", "--out", tmp_path, "--repeats", "2")
    assert failed.failure.startswith("2 cells failed; the others are stored")
    assert failed.lines[0] == "failed: tiny-gpt2 rome failing repeat 0: ZeroDivisionError: nothing to divide by"
    found = answer("report", tmp_path, report=report)
    missing = [f"tiny-gpt2 rome failing repeat {repeat}" for repeat in (0, 1)]
    assert told == [("one", 54, tmp_path, []), ("other", 36, tmp_path, []), ("broken", 18, tmp_path, missing)]
    assert found.lines == [
        "one: 6 of 6 cells", "other: 4 of 4 cells", "broken: 2 of 4 cells", *(f"  missing: {one}" for one in missing)
    ]  # fmt: skip
    assert found.failure == "2 cells missing; run the experiment again"
    rows = read_tidy(tmp_path / "one.csv")
    assert [row.series for row in rows[:: 2 * 9]] == ["ft", "rome", "none"]
    assert {row.repeat for row in rows} == {0, 1}
    assert not answer("run", "one", "--out", tmp_path, "--repeats", "2").failure


def test_a_report_says_that_sources_have_changed(tmp_path: Path) -> None:
    answer("run", "one", "--out", tmp_path, "--repeats", "1")
    path = tmp_path / "run.json"
    asked = json.loads(path.read_text())
    asked["experiments"]["one"]["code"]["fingerprint"] = "0"
    path.write_text(json.dumps(asked))
    found = answer("report", tmp_path)
    assert "  measured with other sources than these; run it again to measure anew" in found.lines
    assert found.failure == "3 cells missing; run the experiment again"
    assert not (tmp_path / "one.csv").exists()


def test_facts_of_ones_own_are_other_cells(tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_text("[1]")
    values = []
    for more in ([], ["--facts", tmp_path / "facts.json"]):
        assert not answer("run", "one", "--out", tmp_path / "o", "--repeats", "1", *more).failure
        answer("report", tmp_path / "o")
        values.append([row.value for row in read_tidy(tmp_path / "o" / "one.csv")])
    assert len(values[0]) == len(values[1]) and values[0] != values[1]
    assert len(list((tmp_path / "o" / "cells").iterdir())) == 6


def test_an_interrupt_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tell(_self: Progress, _outcome: Outcome) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "tell", tell)
    found = answer("run", "one", "--out", tmp_path)
    assert found.failure == f"interrupted; finished cells are in {tmp_path}, the same command goes on from there"
    assert len(list((tmp_path / "cells").iterdir())) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "on", "--out", "o"], "there is no experiment 'on'; did you mean 'one'?"),
        (["run", "one", "--out", "o", "--model", "no-such"], "no-such: neither one of tiny-gpt2"),
        (["run", "one", "--out", "o", "--repeats", "0"], "0 repeats measure nothing"),
        (["run", "one", "--out", "o", "--jobs", "0"], "0 jobs do nothing"),
        (["run", "one", "--out", "o", "--facts", "no-file"], "no-file cannot be read"),
        (["report", "nowhere"], "no experiment was run in nowhere"),
    ],
)
def test_wrong_usage_is_one_line(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(experiments, "Bench", lambda: BENCH)
    assert running.execute(parser().parse_args(["experiment", *words])) == running.WRONG
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list(tmp_path.rglob("*.json"))


def test_a_name_that_cannot_be_imported_is_an_error() -> None:
    with pytest.raises(ExperimentError, match=f"'{HERE}:NOTHING' cannot be imported"):
        experiments.experiment(
            parser().parse_args(["experiment", "list"]), type(BENCH)(experiments=f"{HERE}:NOTHING")
        )


def cell(seconds: float, key: Mapping[str, Any]) -> Cell:
    return Cell(key, (Row("a", 1.0),), seconds, {})


def test_time_left_is_by_what_such_cells_took() -> None:
    quick, slow, new = grid(made("e", FIRST, Series("s", "numbers", "kn"), Series("n", "failing"), repeats=1))
    assert Estimate([quick, slow], []).seconds() is None
    estimate = Estimate([quick, quick, slow, new], [cell(1.0, quick.key), cell(3.0, quick.key)])
    assert estimate.seconds() == 8.0  # 2 s each, and what nobody knows as the mean of what is known
    estimate.done(slow)
    estimate.learn(cell(10.0, slow.key))
    assert estimate.seconds() == 2 + 2 + (2 + 10) / 2


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [StringIO(), Terminal()], ids=["file", "terminal"])
def test_progress_tells_where_it_is(stream: StringIO) -> None:
    tasks = grid(made("e", FIRST, repeats=3))
    with Progress(tasks, [cell(90.0, tasks[0].key)], jobs=2, stream=stream) as progress:
        progress.tell(Outcome(tasks[0], cell(90.0, tasks[0].key)))
        assert ("1/3 cells" in stream.getvalue()) == stream.isatty()  # where nobody watches, now and then
        progress.tell(Outcome(tasks[1], None, "broken"))
        progress.tell(Outcome(tasks[2], cell(30.0, tasks[2].key)))
    text = stream.getvalue()
    assert "3/3 cells" in text and "1 failed, last: tiny-gpt2 ft numbers repeat 2" in text
    assert ("0:01:30 left" in text) == stream.isatty()  # two cells of 90 s in two processes
