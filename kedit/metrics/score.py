# SPDX-License-Identifier: Apache-2.0
"""The score S and the score difference SD."""

from __future__ import annotations

from collections.abc import Sequence

from kedit.metrics.metric import Metric, MetricError

__all__ = ["SD", "S", "harmonic_mean", "score", "score_difference"]


def harmonic_mean(values: Sequence[float]) -> float:
    """`n / sum(1 / v)`, and 0 when any value is 0 (its limit).

    Raises:
        MetricError: no values, or one that is negative or not a number.
    """
    if not values:
        raise MetricError("the harmonic mean of nothing is not defined; pass at least one value")
    for value in values:
        if not value >= 0:
            raise MetricError(f"a harmonic mean takes shares from 0 on, got {value}; pass rates, not differences")
    if min(values) == 0:
        return 0.0
    return len(values) / sum(1 / value for value in values)


def score(es: float, ps: float, ns: float) -> float:
    """`S = 3 / (1/ES + 1/PS + 1/NS)`, 0 if any of them is 0.

    Raises:
        MetricError: a rate is negative or not a number.
    """
    return harmonic_mean([es, ps, ns])


def score_difference(same_subject: float, distinct_subjects: float) -> float:
    """`SD = S(same subject) - S(distinct subjects)`, both after the same number of edits."""
    return same_subject - distinct_subjects


S = Metric(
    name="S",
    definition="harmonic mean of ES, PS and NS, 0 if any of them is 0",
    protocol="of the means over all facts, not a mean over facts",
    unit="share",
    source="S2RKE, appendix C.3; Meng et al. 2022 (ROME), section 3.4",
    better="higher",
    compute=score,
)

SD = Metric(
    name="SD",
    definition="S of edits that share a subject minus S of as many edits on distinct subjects",
    protocol="two runs from the same unedited model, equal number of edits",
    unit="difference of shares, -1 to 1",
    source="S2RKE, section 4.2",
    better="higher",
    compute=score_difference,
)
