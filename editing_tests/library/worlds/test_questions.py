# SPDX-License-Identifier: Apache-2.0
"""Questions about facts that are not edited."""

from __future__ import annotations

from collections import Counter

import pytest

from kedit.metrics import choice_accuracy
from kedit.models.language_model import LanguageModel
from kedit.paths import model_folder, tiny_models
from kedit.worlds import World, WorldError
from kedit.worlds.questions import questions


@pytest.fixture(scope="module")
def world() -> World:
    return World.generate(0)


def test_one_true_object_among_others_of_its_relation(world: World) -> None:
    facts = {entry.fact.prompt.text: entry for entry in world.entries}
    asked = questions(world, 400, seed=1)
    assert len({question.prompt for question in asked}) == 400
    for question in asked:
        entry = facts[question.prompt]
        assert len(set(question.options)) == 4
        assert set(question.options) <= set(entry.relation.objects)
        assert question.options[question.answer] == entry.true
    assert all(count > 60 for count in Counter(question.answer for question in asked).values())


def test_equal_arguments_give_equal_questions(world: World) -> None:
    assert questions(world, 20, seed=1) == questions(world, 20, seed=1) != questions(world, 20, seed=2)


def test_nothing_is_asked_about_excluded_subjects(world: World) -> None:
    edited = [subject.name for subject in world.subjects[:-2]]
    left = {entry.fact.prompt.text for entry in world.entries if entry.subject in world.subjects[-2:]}
    assert {question.prompt for question in questions(world, len(left), seed=0, exclude=edited)} == left
    with pytest.raises(WorldError, match=f"{len(left)} facts are left"):
        questions(world, len(left) + 1, seed=0, exclude=edited)
    with pytest.raises(WorldError, match="no subject 'Nobody'"):
        questions(world, 1, seed=0, exclude=["Nobody"])
    with pytest.raises(WorldError, match="cannot ask 0 questions"):
        questions(world, 0, seed=0)


@pytest.mark.parametrize("name", tiny_models())
def test_unedited_models_know_the_answers(world: World, name: str) -> None:
    model = LanguageModel.from_pretrained(model_folder(name))
    assert choice_accuracy(model, questions(world, 200, seed=0)) >= 0.95
