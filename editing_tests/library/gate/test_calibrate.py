# SPDX-License-Identifier: Apache-2.0
"""Separation of thresholds, from hand-made reports."""

from __future__ import annotations

import json
import math

import pytest

from kedit.gate.calibrate import main, read_reports
from kedit.gate.separation import separations
from kedit.gate.thresholds import Thresholds

THRESHOLDS = """\
[[threshold]]
property = "efficacy.single"
metric = "ES"
value = 0.8
direction = "min"
unit = "share of facts"
source = "a paper"
basis = "sides"
good = ["good", "better"]
bad = ["bad"]
margin = 0.0

[[threshold]]
property = "mechanism.same-key"
metric = "AKD"
value = 0.001
direction = "max"
unit = "ratio"
source = "a paper"
basis = "rounding"
margin = 0.0

[[threshold]]
property = "contract.pure-edit"
metric = "changed_aspects"
value = 0
direction = "max"
unit = "aspects"
source = "exact requirement"
basis = "exact"
margin = 0
"""
# Numbers of draws 0 and 2 on models of training seed 0, and of draw 1 on those of training seed 1.
CLEAR = {
    "good": (0.95, 0.97, 0.96),
    "better": (1.0, 1.0, 1.0),
    "bad": (0.20, 0.30, 0.25),
    "between": (0.79, 0.81, 0.80),
}
RUNS = ((0, 0), (0, 2), (1, 1))


@pytest.fixture
def write(tmp_path):
    """Write one report for each editor and run, and the thresholds."""

    def write_all(numbers, *, runs=RUNS, thresholds=THRESHOLDS, models=("m",)):
        (tmp_path / "thresholds.toml").write_text(thresholds)
        for editor, values in numbers.items():
            for (training, draw), value in zip(runs, values, strict=True):
                rows = [
                    ("efficacy.single", "ES", value),
                    ("mechanism.same-key", "AKD", 0.0002),
                    ("contract.pure-edit", "changed_aspects", 0.0),
                    ("contract.pure-edit", "changed_aspects", 0.0),
                    ("efficacy.single", "ES", None),
                ]
                results = [
                    {"property": p, "model": model, "parameters": {"metric": metric}, "measured": number}
                    for model in models
                    for p, metric, number in rows
                ]
                place = tmp_path / f"trained-{training}" / f"{editor}-{draw}"
                place.mkdir(parents=True, exist_ok=True)
                report = {"schema": 2, "editor": editor, "seed": draw, "results": results}
                (place / "report.json").write_text(json.dumps(report))
        return tmp_path

    return write_all


def arguments(folder, *more):
    places = [word for seed in "01" for word in ("--training-seed", seed, str(folder / f"trained-{seed}"))]
    return [*places, "--thresholds", str(folder / "thresholds.toml"), *more]


def first_of(folder):
    found = read_reports([(seed, folder / f"trained-{seed}") for seed in "01"])
    return separations(Thresholds.read(folder / "thresholds.toml"), found)[0]


def test_sides_are_the_named_editors(write, capsys):
    assert main(arguments(write(CLEAR))) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == (
        "efficacy.single ES >= 0.8: good 0.95 ± 0.01 (good@m, 3 draws, 2 training seeds), "
        "bad 0.3 ± 0.05 (bad@m, 3 draws, 2 training seeds), 14.2 spreads apart, margin 0.15"
    )
    assert "rounding, nearest 0.0002" in second
    assert "exact, nearest 0 " in third


def test_an_editor_has_its_own_spread_pooled_over_models(write):
    folder = write({"good": (0.95, 0.97, 0.96), "bad": CLEAR["bad"]}, models=("m", "n"))
    write({"better": (1.0, 0.9, 0.95)}, models=("m",))
    one = first_of(folder)
    good, better = sorted(one.good.editors, key=lambda each: each.spread)
    assert (good.mean, good.spread) == pytest.approx((0.96, 0.01))
    assert (better.mean, better.spread) == pytest.approx((0.95, 0.05))
    assert one.good.nearest.value == 0.9
    assert one.good.spread == better.spread


def test_models_that_differ_are_no_spread(write):
    folder = write({"good": (1.0, 1.0, 1.0), "better": CLEAR["better"], "bad": CLEAR["bad"]}, models=("m",))
    for place in folder.glob("trained-*/good-*"):
        report = json.loads((place / "report.json").read_text())
        more = [{**row, "model": "n", "measured": row["measured"] and 0.9} for row in report["results"]]
        (place / "report.json").write_text(json.dumps(report | {"results": report["results"] + more}))
    good = next(one for one in first_of(folder).good.editors if one.editor == "good")
    assert (good.mean, good.spread) == (pytest.approx(0.9), 0)


def test_each_pair_is_apart_by_the_larger_of_its_own_spreads(write):
    # Far away an editor may scatter as it likes; it is the near one that decides.
    one = first_of(write(CLEAR | {"good": (0.84, 0.85, 0.86), "bad": (0.6, 0.61, 0.62), "better": (9.0, 5.0, 7.0)}))
    assert one.spreads == pytest.approx((7.0 - 0.61) / 2.0)
    one = first_of(write(CLEAR | {"good": (0.84, 0.85, 0.86), "bad": (0.6, 0.61, 0.62), "better": (1.0, 1.0, 1.0)}))
    assert one.spreads == pytest.approx((0.85 - 0.61) / 0.01)


def test_ratios_are_compared_by_their_logarithms(write):
    text = THRESHOLDS.replace('"share of facts"', '"ratio of norms"').replace('"min"', '"max"', 1).replace("0.8", "2.0")
    numbers = {"good": (1.0, 1.1, 1.2), "better": (1.0, 1.0, 1.0), "bad": (4.0, 8.0, 16.0)}
    one = first_of(write(numbers, thresholds=text))
    spread = math.log(2)
    assert one.spreads == pytest.approx((math.log(8) - math.log(1.0 * 1.1 * 1.2) / 3) / spread)
    assert one.margin == pytest.approx(0.8)
    assert one.flags == ("NEAR",)


@pytest.mark.parametrize(
    ("changed", "flags"),
    [
        ({"good": (0.81, 0.82, 0.82), "bad": (0.60, 0.79, 0.70)}, ("NEAR",)),
        ({"bad": (0.60, 0.70, 0.70)}, ("NEAR THE BOUND",)),
        ({"good": (0.95, 0.79, 0.96)}, ("WRONG SIDE",)),
        ({"bad": (0.2, 0.3, 0.8)}, ("WRONG SIDE",)),
        ({"good": (0.8, 0.8, 0.8)}, ()),
    ],
)
def test_what_does_not_separate_is_flagged(write, capsys, changed, flags):
    folder = write(CLEAR | changed)
    one = first_of(folder)
    assert one.flags == flags
    assert one.separates is (not flags or flags == ("NEAR THE BOUND",))
    assert main(arguments(folder)) == (1 if flags else 0)
    assert capsys.readouterr().out.splitlines()[0].endswith("".join(f"  {flag}" for flag in flags))


@pytest.mark.parametrize(
    ("runs", "flags"),
    [
        (((0, 0), (0, 2), (1, 0)), ("FEW",)),  # two draws
        (((0, 0), (0, 2), (0, 1)), ("FEW",)),  # one training seed
    ],
)
def test_three_draws_on_two_training_seeds_are_asked_for(write, runs, flags):
    folder = write(CLEAR, runs=runs)
    found = read_reports([(seed, folder / f"trained-{seed}") for seed in "012"])
    assert separations(Thresholds.read(folder / "thresholds.toml"), found)[0].flags == flags


def test_every_named_editor_counts_its_own_draws(write):
    folder = write(CLEAR)
    (folder / "trained-0" / "better-2" / "report.json").unlink()
    assert first_of(folder).flags == ("FEW",)
    assert first_of(folder).good.draws == 2
    (folder / "trained-1" / "better-1" / "report.json").unlink()
    assert first_of(folder).good.trainings == 1


def test_an_editor_that_was_not_measured_is_told(write, capsys):
    numbers = dict(CLEAR)
    del numbers["better"]
    folder = write(numbers)
    assert first_of(folder).flags == ("NO NUMBERS",)
    assert main(arguments(folder)) == 1
    assert "without numbers: better" in capsys.readouterr().out


def test_margins_are_written_where_they_are_measured(write):
    folder = write(CLEAR)
    main(arguments(folder, "--update"))
    measured = THRESHOLDS.replace("margin = 0.0", "margin = 0.15", 1).replace("margin = 0.0\n", "margin = 0.0008\n")
    assert (folder / "thresholds.toml").read_text() == measured


def test_a_number_on_the_wrong_side_leaves_no_margin(write):
    assert first_of(write(CLEAR | {"bad": (0.2, 0.3, 0.9)})).margin == 0


def test_a_draw_that_is_given_twice_is_refused(write):
    folder = write(CLEAR)
    again = folder / "trained-0" / "again"
    again.mkdir()
    (again / "report.json").write_text((folder / "trained-0" / "bad-0" / "report.json").read_text())
    with pytest.raises(
        ValueError, match=r"bad on m of training seed 0, draw 0, \S+ is in .*again.* leave one of them out"
    ):
        main(arguments(folder))


def test_other_files_and_empty_folders_are_refused(write):
    folder = write({"good": CLEAR["good"]})
    (folder / "trained-0" / "report.json").write_text('{"schema": 3}')
    with pytest.raises(ValueError, match="not a report of schema 1 or 2"):
        main(arguments(folder))
    with pytest.raises(ValueError, match=r"no report\.json"):
        read_reports([("0", folder / "elsewhere")])
