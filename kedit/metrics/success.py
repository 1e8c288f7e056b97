# SPDX-License-Identifier: Apache-2.0
"""Probability comparisons: efficacy, paraphrase and neighborhood success."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from kedit.metrics.metric import Metric, MetricError, mean_by_record

__all__ = ["ES", "NS", "PS", "Comparison", "mean_log_prob", "success_rate"]


def mean_log_prob(log_probs: Tensor) -> float:
    """Mean log-probability per token, nats, from the `(T,)` log-probabilities of one target.

    The mean, not the sum, so that a target is not preferred for being short.

    Raises:
        MetricError: the target has no tokens.
    """
    if log_probs.ndim != 1 or log_probs.numel() == 0:
        raise MetricError(
            f"a target needs at least one token, got log-probabilities of shape {tuple(log_probs.shape)}; "
            "give a target that the tokenizer does not drop"
        )
    return float(log_probs.double().mean())


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two objects of one prompt: mean log-probability per token (nats) of the `wanted` one and of the `other`."""

    wanted: float
    other: float

    @property
    def succeeds(self) -> bool:
        """The wanted object is strictly more probable; a tie fails, and so does anything that is not a number."""
        return self.wanted > self.other


def success_rate(records: Sequence[Sequence[Comparison]]) -> float:
    """Share of prompts on which the wanted object wins, averaged over prompts first, then over records.

    Args:
        records: for each fact, the comparisons on its prompts.

    Raises:
        MetricError: no record, or a record without prompts.
    """
    return mean_by_record([[one.succeeds for one in record] for record in records], "a success rate")


_SOURCE = "Meng et al. 2022 (ROME), section 3.4; S2RKE, appendix C.3"

ES = Metric(
    name="ES",
    definition="share of facts whose new object is strictly more probable than the true one, "
    "by mean log-probability per token",
    protocol="rewrite prompt, teacher forcing, edited model",
    unit="share of facts",
    source=_SOURCE,
    better="higher",
    compute=success_rate,
)

PS = Metric(
    name="PS",
    definition="as ES on the paraphrases of each fact: mean over its paraphrases, then over facts",
    protocol="paraphrase prompts, teacher forcing, edited model",
    unit="share of prompts, averaged by fact",
    source=_SOURCE,
    better="higher",
    compute=success_rate,
)

NS = Metric(
    name="NS",
    definition="share of neighborhood prompts (other subjects whose right object is the fact's true one) on which "
    "the true object is strictly more probable than the new one: mean over prompts, then over facts",
    protocol="neighborhood prompts, teacher forcing, edited model; two objects are compared, not before with after",
    unit="share of prompts, averaged by fact",
    source=_SOURCE,
    better="higher",
    compute=success_rate,
)
