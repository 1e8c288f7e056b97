# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from editing_tests.library.experiments.invented_rows import rows_of
from kedit.experiments.experiment import Claim, Direction, ExperimentError, Quantity
from kedit.experiments.tidy import Measured
from kedit.experiments.verdicts import Verdict, judge, spearman

SAME, DIFFERENT = Quantity("EM", "MEMIT", "same"), Quantity("EM", "MEMIT", "different")


def claim(direction: Direction, left: Quantity = SAME, right: Quantity | None = DIFFERENT, by: float = 0.0) -> Claim:
    return Claim("invented", "nowhere", direction, left, right, by)


def noisy(effect: float, deviation: float, n: int, seed: int) -> list[Measured]:
    """`same` lies `effect` above `different`, on average."""
    generator = np.random.default_rng(seed)
    base, shift = generator.normal(0.5, 0.2, n), generator.normal(effect, deviation, n)
    return rows_of(lambda _s, arm, _p, _m, i: base[i] + (shift[i] if arm == "same" else 0.0), repeats=n)


def test_the_interval_covers_the_true_mean() -> None:
    trials = 300
    covered = 0
    for seed in range(trials):
        found = judge(claim("below"), noisy(-0.2, 0.1, 30, seed), seed=seed)
        assert found.interval is not None
        covered += found.interval[0] <= -0.2 <= found.interval[1]
    assert 0.90 * trials <= covered <= 0.99 * trials


@pytest.mark.parametrize(
    ("direction", "effect", "by", "verdict"),
    [
        ("below", -0.3, 0.1, "reproduced"),
        ("below", -0.05, 0.1, "not reproduced"),
        ("below", 0.3, 0.0, "not reproduced"),
        ("above", 0.3, 0.1, "reproduced"),
        ("above", 0.05, 0.1, "not reproduced"),
        ("above", -0.3, 0.0, "not reproduced"),
        ("equal", 0.0, 0.1, "reproduced"),
        ("equal", 0.3, 0.1, "not reproduced"),
        ("equal", -0.3, 0.1, "not reproduced"),
    ],
)
def test_clear_data_give_a_clear_verdict(direction: Direction, effect: float, by: float, verdict: Verdict) -> None:
    assert judge(claim(direction, by=by), noisy(effect, 0.02, 20, 0)).verdict == verdict


@pytest.mark.parametrize("direction", ["below", "above"])
@pytest.mark.parametrize("by", [0.0, 0.1])
def test_noise_at_the_bound_is_no_verdict(direction: Direction, by: float) -> None:
    effect = by if direction == "above" else -by
    assert judge(claim(direction, by=by), noisy(effect, 0.3, 8, 2)).verdict == "too noisy to say"
    assert judge(claim("equal", by=0.1), noisy(0.1, 0.3, 8, 2)).verdict == "too noisy to say"


def test_without_spread_the_interval_is_a_point_and_the_verdict_definite() -> None:
    rows = rows_of(lambda _s, arm, *_: 0.25 if arm == "same" else 0.75)
    found = judge(claim("below", by=0.25), rows)
    assert (found.effect, found.interval, found.verdict) == (-0.5, (-0.5, -0.5), "reproduced")
    assert (found.left, found.right, found.n, found.standardised) == (0.25, 0.75, 5, None)
    assert judge(claim("below", by=0.5), rows).verdict == "not reproduced"  # it has to lie beyond
    assert judge(claim("above"), rows).verdict == "not reproduced"
    assert judge(claim("equal", by=0.5), rows).verdict == "reproduced"
    alone = judge(claim("above", right=None), rows)
    assert (alone.effect, alone.right, alone.verdict) == (0.25, None, "reproduced")


def test_one_repeat_says_nothing() -> None:
    found = judge(claim("below"), rows_of(lambda _s, arm, *_: float(arm == "different"), repeats=1))
    assert (found.effect, found.interval, found.verdict, found.n) == (-1.0, None, "too noisy to say", 1)
    assert found.standardised is None


def test_repeats_are_paired_where_both_sides_have_them() -> None:
    rows = noisy(-0.1, 0.01, 10, 3)
    paired = judge(claim("below"), rows)
    assert paired.verdict == "reproduced" and paired.standardised is not None and paired.standardised < -5
    apart = [replace(row, repeat=row.repeat + 100) if row.arm == "same" else row for row in rows]
    unpaired = judge(claim("below"), apart)
    assert paired.interval and unpaired.interval and unpaired.standardised is None
    assert unpaired.effect == pytest.approx(paired.effect)
    width = [high - low for low, high in (paired.interval, unpaired.interval)]
    assert width[1] > 5 * width[0]


def test_standardised_is_the_mean_difference_over_its_deviation() -> None:
    rows = rows_of(lambda _s, arm, _p, _m, i: (0.1, 0.2, 0.6)[i] if arm == "same" else 0.0, repeats=3)
    assert judge(claim("above"), rows).standardised == pytest.approx(0.3 / np.std([0.1, 0.2, 0.6], ddof=1))
    level = rows_of(lambda _s, arm, _p, _m, i: 0.1 * i + (0.3 if arm == "same" else 0.0))
    assert judge(claim("above"), level).standardised is None  # equal differences, but for rounding


def test_the_same_rows_give_the_same_finding_in_any_order() -> None:
    rows = noisy(-0.1, 0.2, 10, 5)
    first = judge(claim("below"), rows)
    assert judge(claim("below"), rows) == first
    assert judge(claim("below"), rows[::-1]) == first
    assert judge(claim("below"), rows, seed=1).interval != first.interval


def test_places_and_arms_left_open_are_averaged() -> None:
    rows = rows_of(lambda _s, arm, place, _m, _i: place + (10.0 if arm == "same" else 0.0), places=(1, 2, 6))
    assert judge(claim("above", right=None), rows).effect == 13.0
    assert judge(claim("above", Quantity("EM", "MEMIT", "same", 6), None), rows).effect == 16.0
    assert judge(claim("above", Quantity("EM", "MEMIT"), None), rows).effect == 8.0
    unnamed = rows_of(lambda *_: 1.0, arms=("",), places=(1, 2, 6))
    assert judge(claim("above", Quantity("EM", "MEMIT"), None), rows + unnamed).effect == 1.0


def rates(same: tuple[float, float, float], spread: float = 0.0) -> list[Measured]:
    each = dict(zip(("ES", "PS", "NS"), same, strict=True))
    return rows_of(
        lambda _s, arm, _p, metric, i: (each[metric] if arm == "same" else 0.9) + spread * (i % 2),
        metrics=("ES", "PS", "NS"),
    )


def test_s_is_the_harmonic_mean_of_means_not_a_mean() -> None:
    wanted = claim("below", Quantity("S", "MEMIT", "same"), Quantity("S", "MEMIT", "different"))
    found = judge(wanted, rates((0.3, 0.6, 0.9)))
    assert found.left == pytest.approx(3 / (1 / 0.3 + 1 / 0.6 + 1 / 0.9)) and found.verdict == "reproduced"
    assert judge(wanted, rates((0.0, 0.6, 0.9))).left == 0.0
    # ES is 0 in half of the repeats: every S of one repeat there is 0, the S of the means is not.
    rows = rows_of(
        lambda _s, arm, _p, metric, i: float(i % 2) if (arm, metric) == ("same", "ES") else 1.0,
        metrics=("ES", "PS", "NS"),
        repeats=20,
    )
    found = judge(wanted, rows)
    assert found.left == pytest.approx(3 / (1 / 0.5 + 1 + 1)) and found.right == 1.0
    assert found.interval is not None and found.interval[0] < found.effect < found.interval[1]
    lacking = [row for row in rows if (row.metric, row.repeat) != ("PS", 3)]
    with pytest.raises(ExperimentError, match="PS of MEMIT has other repeats than ES"):
        judge(wanted, lacking)
    with pytest.raises(ExperimentError, match="no metric 'PS' of MEMIT; it has 'ES', 'NS'"):
        judge(wanted, [row for row in rows if row.metric != "PS"])


def test_a_correlation_is_of_ranks_over_repeats_and_arms() -> None:
    generator = np.random.default_rng(0)
    noise = generator.normal(0, 0.05, 60)

    def value(_s: str, arm: str, _p: int, metric: str, i: int) -> float:
        x = i / 30 + (arm == "same")
        return x if metric == "cosine" else math.exp(-4 * x) + 0.1 * noise[i + 30 * (arm == "same")]

    rows = rows_of(value, metrics=("cosine", "ES"), repeats=30)
    wanted = claim("falling", Quantity("cosine", "MEMIT"), Quantity("ES", "MEMIT"), by=0.3)
    found = judge(wanted, rows)
    assert found.verdict == "reproduced" and found.effect < -0.8 and found.left is None and found.n == 30
    flipped = [replace(row, value=-row.value) if row.metric == "ES" else row for row in rows]
    assert judge(wanted, flipped).verdict == "not reproduced"
    assert judge(wanted, flipped).effect == pytest.approx(-found.effect)
    constant = [replace(row, value=1.0) if row.metric == "ES" else row for row in rows]
    assert (judge(wanted, constant).effect, judge(wanted, constant).verdict) == (0.0, "not reproduced")
    alone = judge(replace(wanted, left=Quantity("cosine", "MEMIT", "same")), rows)
    assert alone.n == 30 and alone.effect != found.effect
    with pytest.raises(ExperimentError, match="give it a right side"):
        judge(replace(wanted, right=None), rows)


def test_arms_of_one_draw_are_resampled_together() -> None:
    points = np.random.default_rng(1).normal(size=(2, 8))

    def value(_s: str, _a: str, _p: int, metric: str, i: int) -> float:
        return float(points[0 if metric == "cosine" else 1, i])

    wanted = claim("falling", Quantity("cosine", "MEMIT"), Quantity("ES", "MEMIT"))
    one, two = (
        judge(wanted, rows_of(value, metrics=("cosine", "ES"), repeats=8, arms=arms))
        for arms in (("same",), ("same", "different"))
    )
    assert one.interval and one.interval[0] < one.effect < one.interval[1] and one.verdict == "too noisy to say"
    # The second arm repeats the first and says nothing new.
    assert two.effect == pytest.approx(one.effect) and two.interval == pytest.approx(one.interval)


def test_spearman_is_what_ranks_say() -> None:
    x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])
    assert spearman(x, y, np.ones((1, 4)))[0] == pytest.approx(0.8)
    ties = np.array([1.0, 1.0, 2.0, 3.0])  # ranks 1.5, 1.5, 3, 4
    assert spearman(x, ties, np.ones((1, 4)))[0] == pytest.approx(np.corrcoef([1, 2, 3, 4], [1.5, 1.5, 3, 4])[0, 1])
    # A weight of two is the point twice.
    twice = spearman(np.append(x, x[1]), np.append(y, y[1]), np.ones((1, 5)))[0]
    assert spearman(x, y, np.array([[1.0, 2.0, 1.0, 1.0]]))[0] == pytest.approx(twice)
    assert spearman(x, y, np.array([[4.0, 0.0, 0.0, 0.0]]))[0] == 0.0


def test_what_is_not_finite_is_not_hidden() -> None:
    rows = rows_of(lambda _s, arm, *_: math.inf if arm == "same" else 10.0)
    assert judge(claim("above"), rows).verdict == "reproduced"
    both = judge(claim("above"), rows_of(lambda *_: math.inf))
    assert math.isnan(both.effect) and both.verdict == "too noisy to say"


@pytest.mark.parametrize(
    ("quantity", "message"),
    [
        (Quantity("EM", "ROME"), "no series 'ROME'; it has 'MEMIT'"),
        (Quantity("PPL", "MEMIT"), "no metric 'PPL' of MEMIT; it has 'EM'"),
        (Quantity("EM", "MEMIT", "high"), "no arm 'high' for EM of MEMIT; it has 'same', 'different'"),
        (Quantity("EM", "MEMIT", "same", 7), "no place 7 for EM of MEMIT; it has 0"),
    ],
)
def test_what_was_not_measured_is_named(quantity: Quantity, message: str) -> None:
    rows = rows_of(lambda *_: 1.0)
    for wanted in (claim("below", left=quantity), claim("below", right=quantity)):
        with pytest.raises(ExperimentError, match=f"invented on tiny-a: {message}"):
            judge(wanted, rows)


def test_rows_of_several_models_and_doubled_rows_are_refused() -> None:
    rows = rows_of(lambda *_: 1.0)
    with pytest.raises(ExperimentError, match="pass one experiment and one model"):
        judge(claim("below"), rows + rows_of(lambda *_: 1.0, model="tiny-b"))
    with pytest.raises(ExperimentError, match="repeat 0 stands twice"):
        judge(claim("below"), [*rows, rows[0]])
    with pytest.raises(ExperimentError, match="no measured rows"):
        judge(claim("below"), [])
