# SPDX-License-Identifier: Apache-2.0
"""Three question types about the same facts."""

from __future__ import annotations

import random
import re

import pytest
from transformers import AutoTokenizer

from kedit.datasets.errors import DatasetError
from kedit.datasets.questions import multiple_choice
from kedit.facts import check_facts
from kedit.paths import model_folder, tiny_models
from kedit.worlds import Sampler, World, WorldError
from kedit.worlds.question_types import world_question_types

WORLD = World.generate(0)
OPTIONS = re.compile(
    r" \? Below are four options: \(a\) (.*); \(b\) (.*); \(c\) (.*); \(d\) (.*)\. The correct option is$"
)


def test_world_questions_ask_for_one_core() -> None:
    plain = world_question_types(WORLD, 60, 0, "DG")
    assert plain == Sampler(WORLD).distinct(60, 0)
    choices, judged = (world_question_types(WORLD, 60, 0, kind) for kind in ("MQ", "T/F"))
    for fact, choice, judgement in zip(plain, choices, judged, strict=True):
        assert fact.subject == choice.subject == judgement.subject
        options = OPTIONS.fullmatch(choice.prompt.text.removeprefix(fact.prompt.text))
        assert options
        letters = dict(zip(options.groups(), "abcd", strict=True))
        assert len(letters) == 4
        assert (choice.target, choice.true) == (letters[fact.target], letters[fact.true])
        assert judgement.prompt.text.startswith(f"{fact.prompt.text} {fact.target} . Is this sentence logical?")
        assert judgement.prompt.text.endswith(" A:")
        assert (judgement.target, judgement.true) == ("yes", "no")
    check_facts(choices)
    check_facts(judged)
    assert {choice.target for choice in choices} == set("abcd")


@pytest.mark.parametrize("name", tiny_models())
def test_world_questions_fit_with_room_for_a_context(name: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model_folder(name))
    for kind in ("MQ", "T/F"):
        facts = world_question_types(WORLD, 250, 0, kind)  # type: ignore[arg-type]
        assert max(len(tokenizer(f"{fact.prompt.text} {fact.target}")["input_ids"]) for fact in facts) <= 128 - 40


def test_unknown_types_and_bad_options_are_refused() -> None:
    with pytest.raises(WorldError, match="question type 'essay' is not known"):
        world_question_types(WORLD, 2, 0, "essay")  # type: ignore[arg-type]
    fact = WORLD.facts()[0]
    with pytest.raises(DatasetError, match="not four different ones"):
        multiple_choice(random.Random(0), fact, [fact.true, fact.target, "x"])
