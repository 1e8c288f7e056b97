# SPDX-License-Identifier: Apache-2.0
"""The wording of D4S's question types (table 1): one fact asked as a choice of four, or as yes or no."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from kedit.datasets.errors import DatasetError
from kedit.facts import Fact, Prompt

__all__ = ["Answer", "QuestionType", "multiple_choice", "true_or_false"]

QuestionType = Literal["DG", "MQ", "T/F"]
Answer = Literal["yes", "no"]
LETTERS = "abcd"


def multiple_choice(rng: random.Random, fact: Fact, others: Sequence[str]) -> Fact:
    """The fact as a choice of four: its target and three `others`, in random order.

    The new target is the letter of the old one, and `true` that of the first of `others`. Paraphrases and neighborhood
    are left out: their answers are no letters.

    Raises:
        DatasetError: not three others, or an option stands twice.
    """
    options = [fact.target, *others]
    if len(options) != len(LETTERS) or len(set(options)) != len(LETTERS):
        raise DatasetError(f"{fact.label}: the options {options} are not four different ones; give three other objects")
    order = rng.sample(options, len(options))
    listed = "; ".join(f"({letter}) {option}" for letter, option in zip(LETTERS, order, strict=True))
    return replace(
        fact,
        prompt=_longer(fact.prompt, f" ? Below are four options: {listed}. The correct option is"),
        target=LETTERS[order.index(fact.target)],
        true=LETTERS[order.index(others[0])],
        paraphrases=(),
        neighborhood=(),
    )


def true_or_false(fact: Fact, stated: str, answer: Answer) -> Fact:
    """The question whether the prompt with the object `stated` is logical; the target is `answer`.

    Paraphrases and neighborhood are left out: their answers are not yes or no.
    """
    return replace(
        fact,
        prompt=_longer(fact.prompt, f" {stated} . Is this sentence logical? Please answer yes or no. A:"),
        target=answer,
        true="no" if answer == "yes" else "yes",
        paraphrases=(),
        neighborhood=(),
    )


def _longer(prompt: Prompt, text: str) -> Prompt:
    return Prompt(prompt.left, prompt.subject, prompt.right + text)
