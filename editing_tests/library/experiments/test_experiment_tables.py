# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from editing_tests.library.experiments.invented_rows import experiment_of, rows_of
from kedit.experiments.experiment import Claim, Direction, ExperimentError, Figure, Quantity
from kedit.experiments.published import published, renamed
from kedit.experiments.reporting import report_page, write_report
from kedit.experiments.samples import Samples
from kedit.experiments.tables import answers, beside, claims_table, model_table, number, shown_bound

CLAIM = Claim(
    "Sharing a subject | costs efficacy",
    "section 4.2",
    "below",
    Quantity("EM", "MEMIT", "same"),
    Quantity("EM", "MEMIT", "different"),
    published="lower bars",
)


def half(_series: str, arm: str, _place: int, _metric: str, repeat: int) -> float:
    return (0.25 if arm == "same" else 0.75) + 0.1 * (repeat % 2)


def test_a_line_is_mean_and_deviation_of_a_series_and_arm() -> None:
    lines = model_table(Samples(rows_of(half, repeats=2)))
    assert lines[0] == "Mean ± standard deviation, n = 2 repeats:"
    assert lines[2:6] == [
        "| series | arm | EM |",
        "|---|---|---|",
        "| MEMIT | same | 0.30 ± 0.07 |",
        "| MEMIT | different | 0.80 ± 0.07 |",
    ]


def test_s_stands_after_what_it_is_made_of_and_is_not_an_average() -> None:
    rows = rows_of(
        lambda _s, _a, _p, metric, i: float(i) if metric == "ES" else 100.0 if metric == "PPL" else 1.0,
        arms=("",),
        metrics=("ES", "PS", "NS", "PPL"),
        repeats=2,
    )
    lines = model_table(Samples(rows))
    assert lines[2] == "| series | ES | PS | NS | S | PPL |"
    assert lines[4] == "| MEMIT | 0.50 ± 0.71 | 1.00 ± 0.00 | 1.00 ± 0.00 | 0.75 ± 0.71 | 100.0 ± 0.0 |"
    assert "n = 2" in lines[0]


def test_what_one_arm_lacks_is_a_dash_and_one_repeat_has_no_deviation() -> None:
    rows = rows_of(half, repeats=1, metrics=("EM", "PPL"), places=(5, 10))
    rows = [row for row in rows if not (row.arm == "same" and row.metric == "PPL")]
    lines = model_table(Samples(rows))
    assert lines[0].endswith("n = 1 repeat:")
    assert lines[2] == "| series | arm | place | EM | PPL |"
    assert lines[4] == "| MEMIT | same | 5 | 0.25 | – |"


def test_a_long_table_is_folded() -> None:
    lines = model_table(Samples(rows_of(half, places=range(20))))
    assert lines[0].startswith("<details>") and lines[-2] == "</details>"


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.5, 2, "0.50"), (-0.001, 2, "0.00"), (-0.5, 1, "-0.5"), (2.5e7, 0, "2.50e+07"), (math.inf, 2, "∞"),
        (-math.inf, 2, "-∞"), (math.nan, 2, "undefined"), (0.0312, 4, "0.0312"), (0.00002, 5, "2.00e-05"),
    ],
)  # fmt: skip
def test_numbers_are_shown_plainly(value: float, digits: int, text: str) -> None:
    assert number(value, digits) == text


def test_published_numbers_stand_beside_ours() -> None:
    experiment = experiment_of(paper="D4S", item="table 2", series=("MEMIT", "D4S"))
    rows = rows_of(
        lambda series, _a, place, _m, _i: 0.9 if series == "D4S" else 1 / place,
        series=("MEMIT", "D4S"), arms=("",), places=(10, 50), metrics=("EM",),
    )  # fmt: skip
    printed = renamed(published("D4S", "table 2"), metric={"Eff": "EM"}, place={100: 10, 500: 50})
    lines = beside(experiment, rows, printed)
    assert lines[0] == "D4S, table 2: published numbers beside our means; percent of the paper are shares here:"
    assert lines[2:][:6] == [
        "| series | place | metric | published, Llama-2-7B | published, GPT-J-6B | tiny-a |",
        "|---|---|---|---|---|---|",
        "| MEMIT | 10 | EM | 0.93 | 0.98 | 0.10 |",
        "| MEMIT | 50 | EM | 0.03 | 0.85 | 0.02 |",
        "| D4S | 10 | EM | 0.96 | 0.98 | 0.90 |",
        "| D4S | 50 | EM | 0.91 | 0.97 | 0.90 |",
    ]  # fmt: skip
    assert beside(experiment, rows, published("D4S", "table 2")) == []
    assert beside(experiment, rows, ()) == []


def test_notes_of_the_numbers_shown_are_told() -> None:
    experiment = experiment_of(paper="D4S", item="table 2")
    rows = rows_of(lambda *_: 0.5, series=("D4S",), arms=("",), places=(1000,), metrics=("Avg",))
    lines = beside(experiment, rows, published("D4S", "table 2"))
    # Those of other methods and lengths are not told.
    assert [line for line in lines if line.startswith("- ")] == [
        "- GPT, D4S(ours), Edits = 1000, Avg: the mean of the three is 85.77."
    ]
    merge = rows_of(lambda *_: 0.5, places=(100,), arms=("same",), metrics=("Efficacy",))
    lines = beside(experiment_of(paper="MEMIT-Merge", item="table 1"), merge, published("MEMIT-Merge", "table 1"))
    assert lines[-2] == "- 4 numbers: the table's head prints Efficiency."


def test_a_claim_is_a_line_a_model() -> None:
    rows = rows_of(half) + rows_of(lambda *_: 0.5, model="tiny-b")
    found = answers(experiment_of(claims=[CLAIM]), rows)
    assert claims_table(found)[2:-1] == [
        (
            "| Sharing a subject \\| costs efficacy | section 4.2; lower bars | < 0.00 | tiny-a "
            "| -0.50 [-0.50, -0.50] | – | 5 | **reproduced** |"
        ),
        "|  |  |  | tiny-b | 0.00 [0.00, 0.00] | – | 5 | **not reproduced** |",
    ]
    named = answers(experiment_of(claims=[replace(CLAIM, models=("GPT-J", "GPT-2 XL"))]), rows)
    assert "| section 4.2; lower bars, GPT-J, GPT-2 XL |" in claims_table(named)[2]
    one = answers(experiment_of(claims=[CLAIM]), rows_of(half, repeats=1))
    assert claims_table(one)[2].endswith("| tiny-a | -0.50 | – | 1 | **too noisy to say** |")


@pytest.mark.parametrize(
    ("direction", "by", "text"),
    [
        ("above", 0.1, "> 0.10"), ("above", -0.1, "> -0.10"), ("rising", 0.3, "> 0.30"), ("below", 0.5, "< -0.50"),
        ("below", -0.5, "< 0.50"), ("falling", 0.3, "< -0.30"), ("equal", 1e-6, "within ±1.00e-06"),
        ("equal", 0.05, "within ±0.05"),
    ],
)  # fmt: skip
def test_where_a_claim_puts_the_effect_is_shown(direction: Direction, by: float, text: str) -> None:
    assert shown_bound(replace(CLAIM, direction=direction, by=by)) == text


def test_only_an_unfinished_run_may_lack_numbers() -> None:
    rows = [row for row in rows_of(half) if row.arm == "same"]
    experiment = experiment_of(claims=[CLAIM])
    with pytest.raises(ExperimentError, match="no arm 'different'"):
        report_page(experiment, rows)
    page = report_page(experiment, rows, ["tiny-a, MEMIT, repeat 5"])
    assert "Not measured yet (1): tiny-a, MEMIT, repeat 5." in page
    assert "not measured: invented on tiny-a: no arm 'different'" in page


def test_a_report_is_a_page_and_a_figure(tmp_path: Path) -> None:
    experiment = experiment_of(claims=[CLAIM], note="Fewer edits than the paper's.")
    page, figure = write_report(experiment, rows_of(half), tmp_path)
    text = page.read_text()
    assert (page.name, figure.name) == ("invented.md", "invented.svg") and figure.is_file()
    assert text.startswith("# invented\n\nS2RKE, figure 3: What it shows.\n\nFewer edits")
    assert "![What it shows](invented.svg)" in text and "## tiny-a" in text
    counted = experiment_of(claims=[CLAIM], figure=Figure("lines", ("EM",), "edits"))
    assert "| series | arm | edits | EM |" in report_page(counted, rows_of(half, places=(1, 2)))
    assert {path.name for path in tmp_path.iterdir()} == {"invented.md", "invented.svg"}
    with pytest.raises(ExperimentError, match="invented: rows of other among its own"):
        report_page(experiment, [replace(row, experiment="other") for row in rows_of(half)])
    with pytest.raises(ExperimentError, match="nothing is measured yet"):
        report_page(experiment, [])
