# SPDX-License-Identifier: Apache-2.0
"""Which facts a model knows, as it is now: only those can be seen to change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from kedit.facts import Fact
from kedit.metrics.metric import MetricError
from kedit.metrics.success import Comparison, mean_log_prob
from kedit.models.activations import BATCH_TOKENS
from kedit.models.language_model import LanguageModel
from kedit.models.scoring import score_targets

__all__ = ["Criterion", "KnownFacts", "known_facts"]

Criterion = Literal["exact", "likelier"]


@dataclass(frozen=True)
class KnownFacts:
    """Facts parted by whether a model knows them, in the order in which they were given.

    Attributes:
        known: those that it knows.
        dropped: the others.
        criterion: what counted as known, see `known_facts`.
    """

    known: tuple[Fact, ...]
    dropped: tuple[Fact, ...]
    criterion: Criterion

    @property
    def n(self) -> int:
        """Number of facts that were asked."""
        return len(self.known) + len(self.dropped)

    @property
    def summary(self) -> str:
        """The counts, for reports."""
        return f"{len(self.known)} of {self.n} facts known ({self.criterion})"


def known_facts(
    model: LanguageModel,
    facts: Iterable[Fact],
    *,
    criterion: Criterion = "exact",
    batch_tokens: int = BATCH_TOKENS,
) -> KnownFacts:
    """Ask the model as it is now for the true object of each fact, on the rewrite prompt by teacher forcing.

    Args:
        model: not edited yet; it is not changed.
        facts: at least one.
        criterion: `exact`: greedy decoding writes exactly the true object. `likelier`, which is weaker: the true object
            is strictly more probable than the new one, by mean log-probability per token; a tie is not.
        batch_tokens: padded tokens a forward pass.

    Raises:
        MetricError: no facts, a fact without a true object, or a criterion that is not known.
    """
    asked = tuple(facts)
    if criterion not in get_args(Criterion):
        raise MetricError(f"criterion {criterion!r} is not known; give one of {', '.join(get_args(Criterion))}")
    if not asked:
        raise MetricError("there are no facts to ask for; pass at least one")
    for fact in asked:
        if not fact.true:
            raise MetricError(f"{fact.label}: field 'true' is empty; it is what is asked for, give the original object")
    judged = _exact(model, asked, batch_tokens) if criterion == "exact" else _likelier(model, asked, batch_tokens)
    known = tuple(fact for fact, hit in zip(asked, judged, strict=True) if hit)
    dropped = tuple(fact for fact, hit in zip(asked, judged, strict=True) if not hit)
    return KnownFacts(known, dropped, criterion)


def _exact(model: LanguageModel, facts: tuple[Fact, ...], batch_tokens: int) -> list[bool]:
    pairs = [(fact.prompt.text, fact.true) for fact in facts]
    return [scored.greedy for scored in score_targets(model, pairs, batch_tokens=batch_tokens)]


def _likelier(model: LanguageModel, facts: tuple[Fact, ...], batch_tokens: int) -> list[bool]:
    pairs = [(fact.prompt.text, target) for fact in facts for target in (fact.true, fact.target)]
    means = [mean_log_prob(scored.log_probs) for scored in score_targets(model, pairs, batch_tokens=batch_tokens)]
    return [Comparison(true, new).succeeds for true, new in zip(means[::2], means[1::2], strict=True)]
