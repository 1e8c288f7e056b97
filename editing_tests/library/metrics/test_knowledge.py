# SPDX-License-Identifier: Apache-2.0
"""Which facts a model knows: on a table that can be read by hand, and on a tiny model of the world."""

from __future__ import annotations

import pytest
from transformers import AutoTokenizer

from kedit.datasets import common_knowledge
from kedit.datasets.sampling import Sampler, group
from kedit.facts import Fact, Prompt
from kedit.metrics import MetricError, known_facts
from kedit.models.language_model import LanguageModel
from kedit.paths import fixtures_dir
from kedit.worlds.recall import measure_recall
from kedit.worlds.world import World

# After a: a 1/2, b 1/4, c 1/4; after b: a 1/8, b 1/2, c 3/8; after c: a 1/4, b 1/8, c 5/8 (conftest.TABLE).


def fact(prompt: str, true: str, new: str) -> Fact:
    return Fact(Prompt("", prompt, ""), target=new, true=true)


ASKED = (
    fact("a", "a", "b"),  # most likely
    fact("a", "b", "c"),  # a tie, and not most likely
    fact("b", "c", "a"),  # likelier than the new one, not most likely
    fact("c", "c c", "b"),  # both tokens are most likely
    fact("b", "b c", "a"),  # its second token is not
    fact("c", "b", "a"),  # less likely
)


def test_exact_and_likelier_by_hand(bigram: LanguageModel) -> None:
    found = known_facts(bigram, iter(ASKED))
    assert (found.known, found.dropped) == ((ASKED[0], ASKED[3]), (ASKED[1], ASKED[2], ASKED[4], ASKED[5]))
    assert (found.n, found.criterion, found.summary) == (6, "exact", "2 of 6 facts known (exact)")
    found = known_facts(bigram, ASKED, criterion="likelier")
    assert found.known == (ASKED[0], ASKED[2], ASKED[3], ASKED[4])
    assert found.dropped == (ASKED[1], ASKED[5])
    assert found.summary == "4 of 6 facts known (likelier)"


@pytest.mark.parametrize("criterion", ["exact", "likelier"])
def test_batches_do_not_matter(bigram: LanguageModel, criterion: str) -> None:
    whole = known_facts(bigram, ASKED, criterion=criterion)  # type: ignore[arg-type]
    assert known_facts(bigram, ASKED, criterion=criterion, batch_tokens=1) == whole  # type: ignore[arg-type]


def test_what_cannot_be_asked_is_refused(bigram: LanguageModel) -> None:
    with pytest.raises(MetricError, match="no facts to ask for"):
        known_facts(bigram, [])
    with pytest.raises(MetricError, match="fact 'nameless': field 'true' is empty"):
        known_facts(bigram, [Fact(Prompt("", "a", ""), "b", "", id="nameless")])
    with pytest.raises(MetricError, match="criterion 'greedy' is not known; give one of exact, likelier"):
        known_facts(bigram, ASKED, criterion="greedy")  # type: ignore[arg-type]


def test_a_tiny_model_knows_its_world_and_nothing_of_the_real_one() -> None:
    folder = fixtures_dir() / "models" / "tiny-gpt2"
    model = LanguageModel.from_pretrained(folder)
    world = World.generate(0)
    entries = world.entries[:60]
    real = [fact for facts in common_knowledge().values() for fact in facts]
    found = known_facts(model, [*(entry.fact for entry in entries), *real])
    assert {*found.known} <= {entry.fact for entry in entries}
    assert len(found.known) >= 0.95 * len(entries)
    recall = measure_recall(model.module, AutoTokenizer.from_pretrained(folder), world, entries)
    assert len(found.known) / len(entries) == recall.template_0
    assert found.n == len(entries) + len(real)
    groups, left_out = group(found.known)
    assert left_out == 0
    assert len(Sampler(groups).distinct(3, 0)) == 3
