# SPDX-License-Identifier: Apache-2.0
"""Exact match: does greedy decoding give the whole object?"""

from __future__ import annotations

from collections.abc import Sequence

from kedit.metrics.metric import Metric, mean, mean_by_record

__all__ = ["EM", "PAR", "SPE", "exact_match_by_fact", "exact_match_rate"]


def exact_match_rate(greedy: Sequence[bool]) -> float:
    """Share of targets that greedy decoding reproduces; one wrong token makes a target wrong.

    Raises:
        MetricError: no targets.
    """
    return mean([float(hit) for hit in greedy], "an exact-match rate")


def exact_match_by_fact(records: Sequence[Sequence[bool]]) -> float:
    """Share of prompts on which greedy decoding gives the object, averaged over prompts first, then over facts.

    Args:
        records: for each fact, whether its prompts were hit.

    Raises:
        MetricError: no fact, or a fact without prompts.
    """
    return mean_by_record(records, "an exact-match rate")


EM = Metric(
    name="EM",
    definition="share of facts whose new object greedy decoding reproduces, every token of it",
    protocol="rewrite prompt, edited model; every target token is the argmax given the ones before it, which is "
    "what greedy decoding produces",
    unit="share of facts",
    source="D4S, equation 14 (Eff.); a stricter sibling of ES; cf. the token accuracy of teacher-forced evaluation, "
    "which counts tokens",
    better="higher",
    compute=exact_match_rate,
)

PAR = Metric(
    name="Par",
    definition="as EM on the paraphrases of each fact: mean over its paraphrases, then over facts",
    protocol="paraphrase prompts, edited model; the new object is the argmax, token by token",
    unit="share of prompts, averaged by fact",
    source="D4S, equation 15",
    better="higher",
    compute=exact_match_by_fact,
)

SPE = Metric(
    name="Spe",
    definition="share of neighborhood prompts (other subjects whose right object is the fact's true one) on which "
    "greedy decoding gives the true object, every token of it: mean over prompts, then over facts",
    protocol="neighborhood prompts, edited model; the true object is the argmax, token by token; a prompt that the "
    "unedited model gets wrong counts as wrong",
    unit="share of prompts, averaged by fact",
    source="D4S, equation 16",
    better="higher",
    compute=exact_match_by_fact,
)
