# SPDX-License-Identifier: Apache-2.0
"""Multiple choice: is the right option the most probable one?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kedit.metrics.metric import Metric, MetricError, mean
from kedit.models.activations import BATCH_TOKENS
from kedit.models.language_model import LanguageModel
from kedit.models.scoring import score_targets

__all__ = ["CHOICE", "Question", "choice_accuracy", "choice_rate", "option_log_probs"]


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its options.

    Attributes:
        prompt: the text that each option follows after one space.
        options: at least two, all different.
        answer: place of the right one in `options`.
    """

    prompt: str
    options: tuple[str, ...]
    answer: int

    def __post_init__(self) -> None:
        """Refuse what has no answer.

        Raises:
            MetricError: fewer than two options, two equal ones, or an answer that is none of them.
        """
        if len(self.options) < 2 or len(set(self.options)) < len(self.options):
            raise MetricError(
                f"question {self.prompt!r}: field 'options' is {list(self.options)}; give at least two, all different"
            )
        if not 0 <= self.answer < len(self.options):
            raise MetricError(
                f"question {self.prompt!r}: field 'answer' is {self.answer}; give a place from 0 to "
                f"{len(self.options) - 1}"
            )


def option_log_probs(
    model: LanguageModel, questions: Sequence[Question], *, batch_tokens: int = BATCH_TOKENS
) -> list[tuple[float, ...]]:
    """For each question the log-probability of each option given the prompt, nats, summed over its tokens.

    The sum is the probability of the option as a text, and what the `acc` of lm-evaluation-harness compares. It
    prefers short options to long ones; ES, PS and NS compare means per token.

    Raises:
        FactError: a prompt or an option without a token.
    """
    pairs = [(question.prompt, option) for question in questions for option in question.options]
    totals = iter([float(scored.log_probs.sum()) for scored in score_targets(model, pairs, batch_tokens=batch_tokens)])
    return [tuple(next(totals) for _ in question.options) for question in questions]


def choice_rate(scores: Sequence[Sequence[float]], answers: Sequence[int]) -> float:
    """Share of questions whose right option has strictly the highest score; a tie fails, and so does what is no number.

    Args:
        scores: for each question, one score an option.
        answers: for each question, the place of the right option.

    Raises:
        MetricError: no questions, or not one answer for each.
    """
    if len(scores) != len(answers):
        raise MetricError(f"{len(scores)} questions have {len(answers)} answers; give one for each")
    return mean([float(_is_right(row, answer)) for row, answer in zip(scores, answers, strict=True)], "an accuracy")


def choice_accuracy(model: LanguageModel, questions: Sequence[Question], *, batch_tokens: int = BATCH_TOKENS) -> float:
    """Share of `questions` that the model as it is now answers right, see `CHOICE`.

    Raises:
        MetricError: no questions.
        FactError: a prompt or an option without a token.
    """
    if not questions:
        raise MetricError("the accuracy on no questions is not defined; pass at least one question")
    scores = option_log_probs(model, questions, batch_tokens=batch_tokens)
    return choice_rate(scores, [question.answer for question in questions])


def _is_right(scores: Sequence[float], answer: int) -> bool:
    return all(scores[answer] > score for place, score in enumerate(scores) if place != answer)


CHOICE = Metric(
    name="accuracy",
    definition="share of multiple-choice questions whose right option has strictly the highest log-probability, "
    "summed over its tokens",
    protocol="each option after the prompt and one space, teacher forcing; no examples before the prompt; ties fail",
    unit="share of questions",
    source="`acc` of multiple-choice tasks in lm-evaluation-harness, where the first of equal options is taken; "
    "D4S, section 3.1, names such tasks",
    better="higher",
    compute=choice_rate,
)
