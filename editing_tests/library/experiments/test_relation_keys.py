# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from kedit.editors import load_editor
from kedit.experiments.protocols.overlaps import top_overlap
from kedit.experiments.relation_keys import RelationKeys, at_relation
from kedit.facts import Fact, Prompt
from kedit.metrics import average_key_distance
from kedit.models.language_model import LanguageModel
from kedit.paths import model_folder
from kedit.worlds.sampling import Sampler
from kedit.worlds.world import World


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return LanguageModel.from_pretrained(model_folder("tiny-gpt2"))


@pytest.fixture(scope="module")
def facts() -> list[Fact]:
    return Sampler(World.generate(0)).same_subject(3, 0)


def test_the_last_word_is_marked(facts: list[Fact]) -> None:
    for fact in facts:
        moved = at_relation(fact)
        assert moved.prompt.text == fact.prompt.text
        assert moved.subject == fact.prompt.text.split()[-1]
        assert moved.prompt.right == ""
    assert at_relation(Fact(Prompt("", "One", ""), "a", "b")).subject == "One"


def test_facts_of_one_subject_have_keys_apart(model: LanguageModel, facts: list[Fact]) -> None:
    def distance(editor: str, **config: str) -> float:
        update, _ = load_editor(editor, config).edit(model, facts)
        assert update.evidence is not None
        assert update.facts == tuple(facts)
        return average_key_distance(update.evidence.layers[1].keys)

    assert distance("memit") == 0.0
    assert distance("kedit.experiments.relation_keys:RelationKeys") > 0.1


def test_both_places_have_a_column_each(model: LanguageModel, facts: list[Fact]) -> None:
    update, _ = RelationKeys(position="both").edit(model, facts)
    alone, _ = load_editor("memit").edit(model, facts)
    assert update.evidence is not None and alone.evidence is not None
    assert update.evidence.layers[0].keys.shape[1] == 2 * len(facts)
    subject, keys = update.evidence.layers[0].keys[:, : len(facts)], alone.evidence.layers[0].keys
    torch.testing.assert_close(subject, keys, rtol=1e-5, atol=1e-5)


def test_overlap_of_the_largest_entries() -> None:
    one = torch.arange(100.0).reshape(10, 10)
    assert top_overlap(one, -one, 0.1) == 1.0
    assert top_overlap(one, one.flip(0, 1), 0.1) == 0.0
    # Ten of each, five in common: 5 / 15.
    assert top_overlap(one, torch.where((one >= 95) | (one < 5), one.abs() + 200, 0.0), 0.1) == pytest.approx(1 / 3)
