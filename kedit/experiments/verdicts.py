# SPDX-License-Identifier: Apache-2.0
"""Whether the numbers of one model bear out a claim: effect, bootstrap interval, verdict."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from kedit.experiments.experiment import Claim, Direction, ExperimentError, Quantity
from kedit.experiments.samples import Samples
from kedit.experiments.tidy import Measured
from kedit.metrics.score import S

__all__ = ["LEVEL", "RESAMPLES", "Finding", "Verdict", "judge", "spearman"]

Verdict = Literal["reproduced", "not reproduced", "too noisy to say"]
Array: TypeAlias = npt.NDArray[np.float64]
Draws: TypeAlias = npt.NDArray[np.int64]

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Finding:
    """What one model says to a claim.

    Attributes:
        claim: the claim.
        model: whose numbers they are.
        verdict: whether the whole interval lies where the claim puts the effect, or where it does not.
        effect: `left - right`, `left` alone, or the rank correlation.
        interval: 95 % percentile interval over resampled repeats; None for a single repeat.
        standardised: mean difference over the standard deviation of the differences of the same repeat; None where
            that is 0, where the sides have different repeats, and for correlations.
        left, right: the two sides; None for correlations and for a right side that the claim does not have.
        n: number of repeats, of the side with fewer.
    """

    claim: Claim
    model: str
    verdict: Verdict
    effect: float
    interval: tuple[float, float] | None
    standardised: float | None
    left: float | None
    right: float | None
    n: int


def judge(claim: Claim, rows: Iterable[Measured] | Samples, *, seed: int = 0, resamples: int = RESAMPLES) -> Finding:
    """Judge a claim by the rows of one model.

    Repeats are resampled with replacement, both sides together where they have the same repeats (paired), each on its
    own elsewhere. S is made anew from the means of ES, PS and NS in every resample (`Quantity`).

    Args:
        claim: the claim.
        rows: rows of one experiment on one model.
        seed: of the resampling; equal rows give an equal finding.
        resamples: number of resamples.

    Raises:
        ExperimentError: a series, arm, place or metric of the claim was not measured.
    """
    samples = rows if isinstance(rows, Samples) else Samples(rows)
    generator = np.random.default_rng(seed)
    if claim.direction in ("falling", "rising"):
        return _correlation(claim, samples, generator, resamples)
    left = _Side(samples, claim.left)
    right = None if claim.right is None else _Side(samples, claim.right)
    effect = left.mean if right is None else _difference(left.mean, right.mean)
    paired = right is None or right.repeats == left.repeats
    n = left.n if right is None else min(left.n, right.n)
    interval = None
    if n > 1:
        draws = generator.integers(left.n, size=(resamples, left.n))
        resampled = left.resampled(draws)
        if right is not None:
            own = draws if paired else generator.integers(right.n, size=(resamples, right.n))
            with np.errstate(invalid="ignore"):  # two sides that are both infinite have no difference
                resampled = resampled - right.resampled(own)
        interval = _interval(resampled)
    return Finding(
        claim=claim,
        model=samples.model,
        verdict=_verdict(claim.direction, claim.by, interval),
        effect=effect,
        interval=interval,
        standardised=_standardised(left, right) if paired else None,
        left=left.mean,
        right=None if right is None else right.mean,
        n=n,
    )


def spearman(x: Array, y: Array, weights: Array) -> Array:
    """Spearman's rank correlation of weighted points, ties sharing their mean rank.

    Args:
        x: one coordinate, (points,).
        y: the other, (points,).
        weights: how often each point stands, (samples, points).

    Returns:
        Correlations, (samples,); 0 where all points of a sample have one x or one y, which says nothing of the other.
    """
    total = weights.sum(axis=1, keepdims=True)
    a, b = _centred_ranks(x, weights, total), _centred_ranks(y, weights, total)
    product = np.sqrt((weights * a**2).sum(axis=1) * (weights * b**2).sum(axis=1))
    # Ranks are multiples of a half: what is below this is a sum of rounding errors.
    constant = product < 1e-9
    correlation: Array = np.where(constant, 0.0, (weights * a * b).sum(axis=1) / np.where(constant, 1.0, product))
    return np.clip(correlation, -1.0, 1.0)


class _Side:
    """One side of a comparison: a row of values for each repeat, and how a mean of rows becomes the quantity."""

    def __init__(self, samples: Samples, quantity: Quantity) -> None:
        by_repeat = samples.values(quantity)
        self.repeats = tuple(by_repeat)
        self.n = len(self.repeats)
        self.each = list(by_repeat.values())
        self.mean = samples.mean(quantity)
        self._made: Callable[[Array], Array] = _only
        table: list[tuple[float, ...]] = [(value,) for value in self.each]
        if quantity.metric == S.name:
            self._made = _harmonic
            table = list(samples.rates(quantity).values())
        self._table = np.asarray(table, dtype=np.float64)

    def resampled(self, draws: Draws) -> Array:
        """The quantity in each resample; draws (samples, n)."""
        return self._made(self._table[draws].mean(axis=1))


def _only(means: Array) -> Array:
    return means[:, 0]


def _harmonic(means: Array) -> Array:
    """Harmonic mean of each row, 0 if any of it is 0."""
    zero = (means == 0).any(axis=1)
    inverse = (1 / np.where(means == 0, 1.0, means)).sum(axis=1)
    made: Array = np.where(zero, 0.0, means.shape[1] / inverse)
    return made


def _correlation(claim: Claim, samples: Samples, generator: np.random.Generator, resamples: int) -> Finding:
    """Rank correlation over points, one a repeat, series, arm and place."""
    if claim.right is None:
        raise ExperimentError(f"the claim {claim.text!r} correlates one quantity with nothing; give it a right side")
    owner: list[int] = []
    points: list[tuple[float, float]] = []
    for series, arm, place in samples.shared(claim.left, claim.right):
        sides = [samples.values(Quantity(side.metric, series, arm, place)) for side in (claim.left, claim.right)]
        for repeat in sides[0].keys() & sides[1].keys():
            owner.append(repeat)
            points.append((sides[0][repeat], sides[1][repeat]))
    if not points:
        raise ExperimentError(
            f"{claim.left.metric} of {claim.left.series} and {claim.right.metric} of {claim.right.series} share no "
            "repeat; run the missing cells"
        )
    repeats = sorted(set(owner))
    n = len(repeats)
    order = np.argsort(np.asarray(owner), kind="stable")
    table = np.asarray(points, dtype=np.float64)[order]
    drawn = np.searchsorted(repeats, np.asarray(owner)[order])
    effect = float(spearman(table[:, 0], table[:, 1], np.ones((1, len(table))))[0])
    interval = None
    if n > 1:
        # How often each repeat was drawn, handed to all of its points: arms of one draw are not independent.
        counts = generator.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
        interval = _interval(spearman(table[:, 0], table[:, 1], counts[:, drawn]))
    verdict = _verdict(claim.direction, claim.by, interval)
    return Finding(claim, samples.model, verdict, effect, interval, None, None, None, n)


def _centred_ranks(x: Array, weights: Array, total: Array) -> Array:
    """Mean rank of each point among the weighted points, less the mean of ranks: (samples, points)."""
    below = (x[:, None] < x[None, :]).astype(np.float64)
    level = (x[:, None] == x[None, :]).astype(np.float64)
    ranks: Array = weights @ (below + 0.5 * level) - total / 2
    return ranks


def _interval(resampled: Array) -> tuple[float, float]:
    """The percentile interval, as order statistics, so that infinite values stay what they are."""
    ordered = np.sort(resampled)
    if np.isnan(ordered[-1]):
        return math.nan, math.nan
    cut = int((1 - LEVEL) / 2 * len(ordered))
    return float(ordered[cut]), float(ordered[-1 - cut])


def _verdict(direction: Direction, by: float, interval: tuple[float, float] | None) -> Verdict:
    if interval is None or math.isnan(interval[0]):
        return "too noisy to say"
    low, high = interval
    if direction == "equal":
        borne_out, refuted = -by <= low and high <= by, low > by or high < -by
    elif direction in ("above", "rising"):
        borne_out, refuted = low > by, high <= by
    else:
        borne_out, refuted = high < -by, low >= -by
    if borne_out:
        return "reproduced"
    return "not reproduced" if refuted else "too noisy to say"


def _difference(left: float, right: float) -> float:
    return math.nan if math.isinf(left) and left == right else left - right


def _standardised(left: _Side, right: _Side | None) -> float | None:
    others = [0.0] * left.n if right is None else right.each
    differences = [_difference(a, b) for a, b in zip(left.each, others, strict=True)]
    if left.n < 2 or not all(math.isfinite(value) for value in differences):
        return None
    deviation = statistics.stdev(differences)
    # Equal differences of unequal numbers differ by rounding; that is no spread.
    scale = max((abs(value) for value in (*left.each, *others)), default=0.0)
    return None if deviation <= 1e-12 * scale else statistics.fmean(differences) / deviation
