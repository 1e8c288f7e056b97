# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from editing_tests.library.experiments.invented_rows import experiment_of, rows_of
from kedit.experiments.experiment import Claim, Direction, Experiment, ExperimentError, Quantity
from kedit.experiments.published import published
from kedit.experiments.reproduction import CAUSES, main, read_causes
from kedit.experiments.reproduction_page import command, in_order, reproduction_page
from kedit.experiments.tidy import Measured, write_tidy


def claim(text: str, direction: Direction = "below") -> Claim:
    same, different = Quantity("EM", "MEMIT", "same"), Quantity("EM", "MEMIT", "different")
    return Claim(text, "section 4", direction, same, different, published="lower bars")


EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        experiment_of("d4s-table-2", paper="D4S", item="table 2", claims=[claim("A table")]),
        experiment_of("s2rke-table-1", item="table 1"),
        experiment_of("s2rke-figure-8a", item="figure 8a", claims=[claim("Eight")]),
        experiment_of("s2rke-figure-3", item="figure 3", claims=[claim("Three"), claim("Three again", "above")]),
        experiment_of("merge-figure-1", paper="MEMIT-Merge", item="figure 1", claims=[claim("One")], note="Shorter."),
        experiment_of("relation-token", paper="kedit", item="ablation", claims=[claim("Open")]),
    )
}


def lower(_series: str, arm: str, _place: int, _metric: str, _repeat: int) -> float:
    return 0.2 if arm == "same" else 0.9


def measured(name: str, value: Callable[..., float] = lower) -> list[Measured]:
    return [row for model in ("tiny-a", "tiny-b") for row in rows_of(value, experiment=name, model=model)]


def test_every_claim_stands_in_the_order_of_papers_and_items() -> None:
    rows = {name: measured(name) for name in EXPERIMENTS}
    page = reproduction_page(EXPERIMENTS, rows, {"merge-figure-1": "Batches are small."})
    at = [page.index(f"| {text} |") for text in ("Three", "Three again", "Eight", "One", "A table", "Open")]
    assert at == sorted(at)
    for name in EXPERIMENTS:
        assert f"`kedit experiment run {name} --model tiny-a --model tiny-b --out DIR`" in page
    assert "**Where ours differs.** Batches are small." in page and page.count("Where ours differs") == 1
    assert "Shorter." in page
    assert "| S2RKE | 3 | 3 | 4 | 2 | 0 | 0 |" in page
    assert "| MEMIT-Merge | 1 | 1 | 2 | 0 | 0 | 0 |" in page
    assert page.index("## What did not reproduce") < page.index("## S2RKE")
    assert "- S2RKE, figure 3: Three again (2 of 2 models: tiny-a, tiny-b)" in page
    assert page.count("(2 of 2 models") == 1
    assert page == reproduction_page(EXPERIMENTS, rows, {"merge-figure-1": "Batches are small."})


def test_what_was_not_run_is_said() -> None:
    page = reproduction_page(EXPERIMENTS, {"s2rke-figure-3": measured("s2rke-figure-3")}, {})
    assert page.count("**Not run.**") == 5 and "- Eight (section 4)" in page
    assert "| S2RKE | 3 | 3 | 2 | 2 | 0 | 2 |" in page
    assert "`kedit experiment run relation-token --out DIR`" in page


def test_published_numbers_and_figures_are_shown() -> None:
    name = "d4s-table-2"
    rows = rows_of(lambda *_: 0.5, experiment=name, series=("D4S",), arms=("",), places=(1000,), metrics=("Avg",))
    experiments = {name: experiment_of(name, paper="D4S", item="table 2")}
    page = reproduction_page(
        experiments, {name: rows}, {}, published={name: published("D4S", "table 2")}, figures={name: "x/y.svg"}
    )
    assert "| D4S | 1000 | Avg | 0.82 | 0.89 | 0.50 |" in page and "![What it shows](x/y.svg)" in page


def test_figures_come_before_tables_by_number() -> None:
    items = ["table 2", "figure 10", "figure 8b", "figure 8a", "figure 2", "table 1"]
    experiments = [experiment_of(item, item=item) for item in items]
    assert [e.item for e in in_order(experiments)] == [
        "figure 2", "figure 8a", "figure 8b", "figure 10", "table 1", "table 2",
    ]  # fmt: skip
    assert command(experiments[0], ["a"]) == "kedit experiment run table 2 --model a --out DIR"


def test_a_cause_of_no_experiment_and_foreign_rows_are_errors() -> None:
    with pytest.raises(ExperimentError, match="causes of s2rke-figure-33, which is no experiment"):
        reproduction_page(EXPERIMENTS, {}, {"s2rke-figure-33": "A slip."})
    with pytest.raises(ExperimentError, match="s2rke-figure-3: rows of other among its own"):
        reproduction_page(EXPERIMENTS, {"s2rke-figure-3": measured("other")}, {})


def run(folder: Path, *words: str, experiments: dict[str, Experiment] = EXPERIMENTS) -> int:
    causes = folder / "causes.toml"
    causes.touch()
    given = ["--from", str(folder), "--out", str(folder / "docs" / "page.md"), "--causes", str(causes), *words]
    return main(given, experiments)


def test_the_page_is_written_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path) == 2
    assert "has no CSV of an experiment" in capsys.readouterr().err
    write_tidy(measured("s2rke-figure-3"), tmp_path / "s2rke-figure-3.csv")
    assert run(tmp_path, "--check") == 1
    assert run(tmp_path) == 0
    page = tmp_path / "docs" / "page.md"
    text = page.read_text()
    assert "Three again" in text and ".svg" not in text
    assert run(tmp_path, "--check") == 0
    write_tidy(measured("s2rke-figure-3", lambda *_: 0.5), tmp_path / "s2rke-figure-3.csv")
    assert run(tmp_path, "--check") == 1
    assert "write it again" in capsys.readouterr().err and page.read_text() == text


def test_figures_are_drawn_beside_the_page(tmp_path: Path) -> None:
    write_tidy(measured("s2rke-figure-3"), tmp_path / "s2rke-figure-3.csv")
    figures = str(tmp_path / "docs" / "pictures")
    assert run(tmp_path, "--figures", figures) == 0
    assert [path.name for path in (tmp_path / "docs" / "pictures").iterdir()] == ["s2rke-figure-3.svg"]
    assert "](pictures/s2rke-figure-3.svg)" in (tmp_path / "docs" / "page.md").read_text()
    (tmp_path / "docs" / "pictures" / "s2rke-figure-3.svg").unlink()
    assert run(tmp_path, "--figures", figures, "--check") == 0
    assert not list((tmp_path / "docs" / "pictures").iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [("a =", "cannot be read as TOML"), ("a = 1", "a is not a text"), ('a = " "', "a is not a text")],
)
def test_damaged_causes_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "causes.toml"
    path.write_text(text)
    with pytest.raises(ExperimentError, match=message):
        read_causes(path)


def test_the_causes_that_kedit_carries_can_be_read() -> None:
    read_causes(CAUSES)


def test_printed_numbers_stand_beside_ours_without_being_asked_for(tmp_path: Path) -> None:
    name = "d4s-table-2"
    rows = rows_of(lambda *_: 0.5, experiment=name, arms=("overall",), places=(20,), metrics=("EM",))
    write_tidy(rows, tmp_path / f"{name}.csv")
    assert run(tmp_path, experiments={name: experiment_of(name, paper="D4S", item="table 2")}) == 0
    assert "| MEMIT | overall | 20 | EM | 0.93 | 0.98 | 0.50 |" in (tmp_path / "docs" / "page.md").read_text()
