# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest

from kedit.metrics import CHOICE, MetricError, Question, choice_accuracy, choice_rate, option_log_probs
from kedit.models.language_model import LanguageModel


def test_sums_by_hand(bigram: LanguageModel) -> None:
    # After "a": P(b c) = 1/4 * 3/8 and P(c) = 1/4; by the mean per token "b c" would win.
    short, certain = Question("a", ("b c", "c"), 1), Question("b", ("a", "b", "c"), 1)
    (two, one), _ = option_log_probs(bigram, [short, certain])
    assert two == pytest.approx(math.log(3 / 32)) and one == pytest.approx(math.log(1 / 4))
    assert choice_accuracy(bigram, [short, certain]) == 1.0
    assert choice_accuracy(bigram, [short, certain, Question("a", ("b c", "c"), 0)]) == pytest.approx(2 / 3)


def test_a_tie_fails_and_so_does_what_is_no_number(bigram: LanguageModel) -> None:
    assert [choice_rate([[-1.0, -1.0]], [answer]) for answer in (0, 1)] == [0.0, 0.0]
    assert choice_rate([[math.nan, -1.0]], [0]) == choice_rate([[-1.0, math.nan]], [0]) == 0.0
    assert CHOICE([[-1.0, -2.0], [-1.0, -2.0]], [0, 1]) == 0.5
    # P(b|a) and P(c|a) are the same rows of the table.
    (scores,) = option_log_probs(bigram, [Question("a", ("b", "c"), 0)])
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_batching_changes_nothing(bigram: LanguageModel) -> None:
    asked = [Question("a", ("b c", "c"), 1), Question("c b a", ("a a", "b", "c"), 0)]
    together, apart = (option_log_probs(bigram, asked, batch_tokens=size) for size in (100, 1))
    assert [pytest.approx(row, abs=1e-6) for row in apart] == together


def test_nothing_to_ask(bigram: LanguageModel) -> None:
    with pytest.raises(MetricError, match="at least one question"):
        choice_accuracy(bigram, [])
    with pytest.raises(MetricError, match="accuracy of nothing"):
        choice_rate([], [])
    with pytest.raises(MetricError, match="2 questions have 1 answers"):
        choice_rate([[0.0], [0.0]], [0])


@pytest.mark.parametrize("options", [(), ("b",), ("b", "c", "b")])
def test_options_that_decide_nothing_are_refused(options: tuple[str, ...]) -> None:
    with pytest.raises(MetricError, match="question 'a': field 'options' is"):
        Question("a", options, 0)


@pytest.mark.parametrize("answer", [-1, 2])
def test_an_answer_outside_the_options_is_refused(answer: int) -> None:
    with pytest.raises(MetricError, match=f"question 'a': field 'answer' is {answer}; give a place from 0 to 1"):
        Question("a", ("b", "c"), answer)
