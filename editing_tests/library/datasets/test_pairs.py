# SPDX-License-Identifier: Apache-2.0
"""Same-subject and distinct-subject edits, of any facts and of the world."""

from __future__ import annotations

import pytest

from kedit.datasets.errors import DatasetError
from kedit.datasets.pairs import Phrase, pairs
from kedit.datasets.relation_tables import relation_noun
from kedit.facts import Fact, Prompt, check_facts
from kedit.worlds import World, WorldError
from kedit.worlds.pairs import world_pairs
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


def any_facts(count: int) -> list[Fact]:
    """Facts of as many subjects, four relations in turn."""
    relations = ("P19", "<hasAcademicAdvisor>", "hasPetName", "born_in")
    return [
        Fact(Prompt("", f"S{i}", " is linked to"), f"new {i}", f"old {i}", relation=relations[i % 4])
        for i in range(count)
    ]


NOUNS = {
    "P19": "place of birth",
    "<hasAcademicAdvisor>": "academic advisor",
    "hasPetName": "has Pet Name",
    "born_in": "cradle",
}


@pytest.mark.parametrize("n", [1, 4])
def test_pairs_of_any_facts_have_the_templates_of_the_paper(n: int) -> None:
    facts = any_facts(20)
    by_target = {fact.target: fact for fact in facts}
    for seed in range(10):
        same, distinct = pairs(facts, n, seed, nouns={"born_in": "cradle"})
        check_facts(same)
        check_facts(distinct)
        assert len({fact.subject for fact in same}) == 1
        assert len({fact.subject for fact in [same[0], *distinct]}) == n + 1
        assert [(f.relation, f.target, f.true) for f in same] == [(f.relation, f.target, f.true) for f in distinct]
        assert len({fact.relation for fact in same}) == n
        for fact in same + distinct:
            source, noun = by_target[fact.target], NOUNS[fact.relation]
            assert (fact.true, fact.relation) == (source.true, source.relation)
            assert fact.prompt.text == f"{fact.subject}'s {noun} is"
            assert fact.paraphrases == (f"The name of the {noun} of {fact.subject} is",)
            assert fact.neighborhood == (f"{source.subject}'s {noun} is",)
            assert source.subject not in {f.subject for f in same + distinct}


def test_the_other_phrase_is_the_same_draw() -> None:
    first, second = (pairs(any_facts(20), 3, 5, phrase) for phrase in ("subject-first", "relation-first"))
    for one, other in zip(first[0] + first[1], second[0] + second[1], strict=True):
        assert (one.prompt.text,) == other.paraphrases
        assert (other.prompt.text,) == one.paraphrases
    assert pairs(any_facts(20), 3, 5) == first != pairs(any_facts(20), 3, 6)


def test_names_may_be_given() -> None:
    same, distinct = pairs(any_facts(4), 4, 0, names=["Ann", "Bob", "Cy", "Di", "Ed", "S0"])
    assert {fact.subject for fact in [same[0], *distinct]} == {"Ann", "Bob", "Cy", "Di", "Ed"}
    with pytest.raises(DatasetError, match="on 5 other subjects: there are 0"):
        pairs(any_facts(4), 4, 0)
    with pytest.raises(DatasetError, match="the facts name 4 relations"):
        pairs(any_facts(20), 5, 0)
    with pytest.raises(DatasetError, match="phrase 'passive' is not known"):
        pairs(any_facts(20), 2, 0, "passive")  # type: ignore[arg-type]


def test_relations_of_one_noun_are_named() -> None:
    facts = any_facts(20)
    with pytest.raises(DatasetError, match=r"relations '(P19|born_in)' and '(P19|born_in)' are both called 'place"):
        pairs(facts, 4, 0, nouns={"born_in": "place of birth"})


def test_a_property_without_a_noun_is_named() -> None:
    assert relation_noun("P9999", {"P9999": "shoe size"}) == "shoe size"
    for name in ("P9999", "", "<>"):
        with pytest.raises(DatasetError, match="has no noun; name one"):
            relation_noun(name)
