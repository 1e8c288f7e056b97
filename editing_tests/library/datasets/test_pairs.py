# SPDX-License-Identifier: Apache-2.0
"""Same-subject and distinct-subject edits, of any facts and of the world."""

from __future__ import annotations

import pytest

from kedit.facts import check_facts
from kedit.worlds import World, WorldError
from kedit.worlds.pairs import Phrase, world_pairs
from kedit.worlds.relations import relation

WORLD = World.generate(0)
TRUE = {(entry.subject.name, entry.relation.name): entry.true for entry in WORLD.entries}


@pytest.mark.parametrize("phrase", ["subject-first", "relation-first"])
@pytest.mark.parametrize("n", [1, 4, 12])
def test_pairs_of_the_world_differ_in_the_subject_only(n: int, phrase: Phrase) -> None:
    for seed in range(10):
        same, distinct = world_pairs(WORLD, n, seed, phrase)
        check_facts(same)
        check_facts(distinct)
        assert len({fact.subject for fact in same}) == 1
        assert len({fact.subject for fact in [*distinct, same[0]]}) == n + 1
        assert len({fact.relation for fact in same}) == n
        assert [(f.relation, f.target) for f in same] == [(f.relation, f.target) for f in distinct]
        for fact in same + distinct:
            assert fact.true == TRUE[fact.subject, fact.relation]
            assert fact.target in set(relation(fact.relation).objects) - {fact.true}


def test_pairs_of_the_world_are_judged_by_other_templates_and_other_subjects() -> None:
    for phrase, place in (("subject-first", 0), ("relation-first", 3)):
        same, distinct = world_pairs(WORLD, 8, 3, phrase)  # type: ignore[arg-type]
        edited = {fact.subject for fact in same + distinct}
        for fact in same + distinct:
            filled = [text.replace("{}", fact.subject) for text in relation(fact.relation).templates]
            assert fact.prompt.text == filled[place]
            assert fact.paraphrases == tuple(text for text in filled if text != fact.prompt.text)
            sharers = {
                relation(fact.relation).templates[0].replace("{}", name)
                for (name, held), value in TRUE.items()
                if held == fact.relation and value == fact.true and name not in edited
            }
            assert fact.neighborhood
            assert set(fact.neighborhood) <= sharers


def test_both_phrases_ask_for_the_same_facts() -> None:
    first, second = (world_pairs(WORLD, 6, 1, phrase) for phrase in ("subject-first", "relation-first"))
    for one, other in zip(first[0] + first[1], second[0] + second[1], strict=True):
        assert (one.subject, one.relation, one.target) == (other.subject, other.relation, other.target)
    assert world_pairs(WORLD, 6, 1) == first != world_pairs(WORLD, 6, 2)


def test_too_many_pairs_of_the_world_are_refused() -> None:
    with pytest.raises(WorldError, match="50 celebrities with at most 16 facts"):
        world_pairs(WORLD, 17, 0)
    with pytest.raises(WorldError, match="phrase 'passive' is not known"):
        world_pairs(WORLD, 2, 0, "passive")  # type: ignore[arg-type]
