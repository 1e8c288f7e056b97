# SPDX-License-Identifier: Apache-2.0
"""ES, PS, NS, S and exact matches of a model on facts, from one batched scoring pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from kedit.facts import Fact
from kedit.metrics.exact_match import EM, PAR, SPE
from kedit.metrics.metric import MetricError
from kedit.metrics.score import S
from kedit.metrics.success import ES, NS, PS, Comparison, mean_log_prob
from kedit.models.activations import BATCH_TOKENS
from kedit.models.language_model import LanguageModel
from kedit.models.scoring import Scored, score_targets

__all__ = ["Evaluation", "FactEvaluation", "evaluate"]

T = TypeVar("T")


@dataclass(frozen=True)
class FactEvaluation:
    """What was measured on one fact.

    Attributes:
        fact: the fact.
        efficacy: new against true object on the rewrite prompt.
        exact: greedy decoding gives the new object on the rewrite prompt.
        paraphrases: new against true object on each paraphrase; None if not measured.
        neighborhood: true against new object on each neighborhood prompt; None if not measured.
        exact_paraphrases: greedy decoding gives the new object on each paraphrase; None if not measured.
        exact_neighborhood: greedy decoding gives the true object on each neighborhood prompt; None if not measured.
    """

    fact: Fact
    efficacy: Comparison
    exact: bool
    paraphrases: tuple[Comparison, ...] | None
    neighborhood: tuple[Comparison, ...] | None
    exact_paraphrases: tuple[bool, ...] | None
    exact_neighborhood: tuple[bool, ...] | None

    @property
    def probability(self) -> float:
        """Of the new object on the rewrite prompt: geometric mean over its tokens."""
        return math.exp(self.efficacy.wanted)


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a model on some facts; each is computed when asked for."""

    facts: tuple[FactEvaluation, ...]

    @property
    def n(self) -> int:
        """Number of facts."""
        return len(self.facts)

    @property
    def es(self) -> float:
        """Efficacy success, see `kedit.metrics.ES`."""
        return ES([(one.efficacy,) for one in self.facts])

    @property
    def ps(self) -> float:
        """Paraphrase success, see `kedit.metrics.PS`.

        Raises:
            MetricError: a fact has no paraphrases, or they were not measured.
        """
        return PS([_required(one.paraphrases, one.fact, "paraphrases") for one in self.facts])

    @property
    def ns(self) -> float:
        """Neighborhood success, see `kedit.metrics.NS`.

        Raises:
            MetricError: a fact has no neighborhood prompts, or they were not measured.
        """
        return NS([_required(one.neighborhood, one.fact, "neighborhood") for one in self.facts])

    @property
    def s(self) -> float:
        """Harmonic mean of ES, PS and NS, see `kedit.metrics.S`."""
        return S(self.es, self.ps, self.ns)

    @property
    def em(self) -> float:
        """Exact match, see `kedit.metrics.EM`."""
        return EM([one.exact for one in self.facts])

    @property
    def par(self) -> float:
        """Exact match on paraphrases, see `kedit.metrics.PAR`.

        Raises:
            MetricError: a fact has no paraphrases, or they were not measured.
        """
        return PAR([_required(one.exact_paraphrases, one.fact, "paraphrases") for one in self.facts])

    @property
    def spe(self) -> float:
        """Exact match of the true object on neighborhood prompts, see `kedit.metrics.SPE`.

        Raises:
            MetricError: a fact has no neighborhood prompts, or they were not measured.
        """
        return SPE([_required(one.exact_neighborhood, one.fact, "neighborhood") for one in self.facts])


def evaluate(
    model: LanguageModel,
    facts: Sequence[Fact],
    *,
    paraphrases: bool = True,
    neighborhood: bool = True,
    batch_tokens: int = BATCH_TOKENS,
) -> Evaluation:
    """Score the model as it is now on `facts`.

    Args:
        model: edited or not; it is not changed.
        facts: at least one.
        paraphrases: score the paraphrase prompts too (needed for PS, S and Par).
        neighborhood: score the neighborhood prompts too (needed for NS, S and Spe).
        batch_tokens: padded tokens a forward pass.

    Raises:
        MetricError: no facts, or a fact without a true object to compare with.
    """
    if not facts:
        raise MetricError("there is nothing to evaluate; pass at least one fact")
    for fact in facts:
        if not fact.true:
            raise MetricError(f"{fact.label}: field 'true' is empty; ES compares with it, give the original object")
    asked = [_prompts(fact, paraphrases, neighborhood) for fact in facts]
    pairs = [
        (prompt, target)
        for fact, prompts in zip(facts, asked, strict=True)
        for prompt in prompts
        for target in (fact.target, fact.true)
    ]
    scored = dict(zip(pairs, score_targets(model, pairs, batch_tokens=batch_tokens), strict=True))
    return Evaluation(tuple(_judge(fact, scored, paraphrases, neighborhood) for fact in facts))


def _prompts(fact: Fact, paraphrases: bool, neighborhood: bool) -> list[str]:
    extra = (*(fact.paraphrases if paraphrases else ()), *(fact.neighborhood if neighborhood else ()))
    return [fact.prompt.text, *extra]


def _judge(fact: Fact, scored: dict[tuple[str, str], Scored], paraphrases: bool, neighborhood: bool) -> FactEvaluation:
    def compare(prompt: str, wanted: str, other: str) -> Comparison:
        return Comparison(
            mean_log_prob(scored[prompt, wanted].log_probs), mean_log_prob(scored[prompt, other].log_probs)
        )

    new, true = fact.target, fact.true
    return FactEvaluation(
        fact=fact,
        efficacy=compare(fact.prompt.text, new, true),
        exact=scored[fact.prompt.text, new].greedy,
        paraphrases=tuple(compare(text, new, true) for text in fact.paraphrases) if paraphrases else None,
        neighborhood=tuple(compare(text, true, new) for text in fact.neighborhood) if neighborhood else None,
        exact_paraphrases=tuple(scored[text, new].greedy for text in fact.paraphrases) if paraphrases else None,
        exact_neighborhood=tuple(scored[text, true].greedy for text in fact.neighborhood) if neighborhood else None,
    )


def _required(found: tuple[T, ...] | None, fact: Fact, what: str) -> tuple[T, ...]:
    if found is None:
        raise MetricError(f"{what} were not measured; call evaluate(..., {what}=True)")
    if not found:
        raise MetricError(f"{fact.label}: field {what!r} is empty; give prompts or leave the fact out yourself")
    return found
