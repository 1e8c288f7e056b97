# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from kedit.facts import Fact, Prompt
from kedit.metrics import MetricError, evaluate
from kedit.models.language_model import LanguageModel
from kedit.models.scoring import Scored

# After "a": P(b c) = 1/4 * 3/8, P(c) = 1/4. By mean log-probability "b c" wins (0.306 > 0.25), by sum "c" would.
TWO_TOKENS = Fact(Prompt("", "a", ""), target="b c", true="c", paraphrases=("c a", "b"), neighborhood=("c", "a", "a"))
ONE_TOKEN = Fact(Prompt("", "b", ""), target="b", true="a", paraphrases=("a",), neighborhood=("c",))


def test_every_number_by_hand(bigram: LanguageModel) -> None:
    evaluation = evaluate(bigram, [TWO_TOKENS, ONE_TOKEN])
    two = evaluation.facts[0]
    assert two.efficacy.wanted == pytest.approx(math.log(3 / 32) / 2)
    assert two.efficacy.other == pytest.approx(math.log(1 / 4))
    # Paraphrases of the first: after "c a" as after "a"; after "b": sqrt(1/2 * 3/8) = 0.43 > 3/8.
    assert [c.succeeds for c in two.paraphrases or ()] == [True, True]
    # Its neighborhood wants "c": after "c" 5/8 > sqrt(1/8 * 3/8), after "a" 0.25 < 0.306, twice.
    assert [c.succeeds for c in two.neighborhood or ()] == [True, False, False]
    assert evaluation.es == 1.0
    assert evaluation.ps == pytest.approx((1 + 0) / 2)  # the second: P(b|a) = 1/4 < P(a|a) = 1/2
    assert evaluation.ns == pytest.approx((1 / 3 + 1) / 2)  # the second: P(a|c) = 1/4 > P(b|c) = 1/8
    assert evaluation.s == pytest.approx(3 / (1 + 2 + 1.5))
    assert evaluation.em == 0.5  # greedy: a -> a, b -> b
    assert two.probability == pytest.approx(math.sqrt(3 / 32))


def test_exact_matches_by_hand(bigram: LanguageModel) -> None:
    evaluation = evaluate(bigram, [TWO_TOKENS, ONE_TOKEN])
    # Greedy: a -> a, b -> b, c -> c; "b c" is never said. The second fact's neighborhood "c" wants "a".
    assert [one.exact_paraphrases for one in evaluation.facts] == [(False, False), (False,)]
    assert [one.exact_neighborhood for one in evaluation.facts] == [(True, False, False), (False,)]
    assert evaluation.par == 0.0
    assert evaluation.spe == pytest.approx((1 / 3 + 0) / 2)
    # The new object on paraphrases, the true one on neighbors: "b" after "a b" and after "b", "a" after "a".
    known = evaluate(bigram, [replace(ONE_TOKEN, paraphrases=("a b", "a", "b", "b"), neighborhood=("a", "b"))])
    assert known.facts[0].exact_paraphrases == (True, False, True, True)
    assert known.facts[0].exact_neighborhood == (True, False)
    assert (known.par, known.spe) == (0.75, 0.5)


def test_a_tie_fails_both_ways(bigram: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    tie = Scored(torch.tensor([1 / 4], dtype=torch.float64).log(), greedy=False)
    monkeypatch.setattr("kedit.metrics.evaluation.score_targets", lambda _model, pairs, **_: [tie] * len(pairs))
    evaluation = evaluate(bigram, [ONE_TOKEN])
    assert (evaluation.es, evaluation.ps, evaluation.ns, evaluation.s) == (0.0, 0.0, 0.0, 0.0)


def test_batching_changes_nothing(bigram: LanguageModel) -> None:
    facts = [TWO_TOKENS, ONE_TOKEN]
    together, apart = evaluate(bigram, facts), [evaluate(bigram, [fact], batch_tokens=1) for fact in facts]
    for one, other in zip(together.facts, apart, strict=True):
        assert one.efficacy.wanted == pytest.approx(other.facts[0].efficacy.wanted, abs=1e-6)
        assert one.exact == other.facts[0].exact


def test_nothing_to_evaluate(bigram: LanguageModel) -> None:
    with pytest.raises(MetricError, match="at least one fact"):
        evaluate(bigram, [])


def test_a_fact_without_true_object_is_named(bigram: LanguageModel) -> None:
    with pytest.raises(MetricError, match=r"fact 'f7': field 'true' is empty"):
        evaluate(bigram, [replace(ONE_TOKEN, true="", id="f7")])


def test_missing_prompts_give_no_rate(bigram: LanguageModel) -> None:
    bare = evaluate(bigram, [replace(ONE_TOKEN, paraphrases=(), neighborhood=(), id="f8")])
    assert bare.es == 1.0
    for rate in ("ps", "ns", "s", "par", "spe"):
        with pytest.raises(MetricError, match="fact 'f8'"):
            getattr(bare, rate)
    skipped = evaluate(bigram, [ONE_TOKEN], paraphrases=False)
    assert (skipped.ns, skipped.spe) == (1.0, 0.0)
    for rate in ("ps", "par"):
        with pytest.raises(MetricError, match="not measured"):
            getattr(skipped, rate)
