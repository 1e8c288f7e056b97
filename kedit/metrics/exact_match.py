# SPDX-License-Identifier: Apache-2.0
"""Exact match: does greedy decoding give the whole object?"""

from __future__ import annotations

from collections.abc import Sequence

from kedit.metrics.metric import Metric, mean

__all__ = ["EM", "exact_match_rate"]


def exact_match_rate(greedy: Sequence[bool]) -> float:
    """Share of targets that greedy decoding reproduces; one wrong token makes a target wrong.

    Raises:
        MetricError: no targets.
    """
    return mean([float(hit) for hit in greedy], "an exact-match rate")


EM = Metric(
    name="EM",
    definition="share of facts whose new object greedy decoding reproduces, every token of it",
    protocol="rewrite prompt, edited model; every target token is the argmax given the ones before it, which is "
    "what greedy decoding produces",
    unit="share of facts",
    source="a stricter sibling of ES; cf. the token accuracy of teacher-forced evaluation, which counts tokens",
    better="higher",
    compute=exact_match_rate,
)
