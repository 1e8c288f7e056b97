# SPDX-License-Identifier: Apache-2.0
"""The world: deterministic, unambiguous, in the published record format."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from kedit.facts import check_facts
from kedit.paths import fixtures_dir
from kedit.worlds import World, WorldError
from kedit.worlds.__main__ import main
from kedit.worlds.relations import CATEGORIES, relations
from kedit.worlds.sentences import LEADS, TEMPLATES, reserved, say


@pytest.fixture(scope="module")
def world() -> World:
    return World.generate(0)


def test_equal_seeds_give_equal_worlds_and_others_do_not(world: World) -> None:
    assert World.generate(0) == world
    assert World.generate(1).entries != world.entries


def test_the_committed_records_are_the_world_of_seed_0(world: World) -> None:
    path = fixtures_dir() / "world" / "seed-0.json"
    assert json.loads(path.read_text(encoding="utf-8")) == world.records()
    assert World.from_records(path) == world


def test_the_command_writes_the_same_file_twice(tmp_path: Path) -> None:
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for file in files:
        assert main(["generate", "--seed", "3", "--out", str(file)]) == 0
    assert files[0].read_bytes() == files[1].read_bytes()


def test_no_template_is_a_prefix_of_another() -> None:
    templates = [template for relation in relations() for template in relation.templates]
    clashes = [(a, b) for i, a in enumerate(templates) for j, b in enumerate(templates) if i != j and b.startswith(a)]
    assert clashes == []


def test_templates_are_three_subject_first_and_one_relation_first() -> None:
    for relation in relations():
        assert len(relation.templates) == TEMPLATES
        assert [bool(relation.left(t)) for t in range(TEMPLATES)] == [False, False, False, True], relation.name
        assert len(set(relation.objects)) == len(relation.objects) == 12


def test_shape_of_the_world(world: World) -> None:
    counts = Counter(entry.subject.name for entry in world.entries)
    assert len(world.subjects) == 250
    assert len(world.celebrities) == 50
    assert all(13 <= counts[s.name] <= 16 and s.category == "Person" for s in world.celebrities)
    famous = {s.name for s in world.celebrities}
    assert all(3 <= count <= 5 for name, count in counts.items() if name not in famous)
    assert 1400 <= len(world.entries) <= 1600
    assert {s.category for s in world.subjects} == set(CATEGORIES)
    assert {entry.relation.value for entry in world.entries} == {"item", "literal", "date"}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_request_can_be_edited_at_once(seed: int) -> None:
    check_facts(World.generate(seed).facts())


def test_neighbors_have_another_subject_and_the_same_true_object(world: World) -> None:
    truths = {entry.relation.templates[0].replace("{}", entry.subject.name): entry.true for entry in world.entries}
    for fact in world.facts():
        assert 2 <= len(fact.neighborhood) <= 4, fact.id
        for prompt in fact.neighborhood:
            assert fact.subject not in prompt
            assert truths[prompt] == fact.true


def test_new_objects_come_from_the_relation_and_are_true_somewhere(world: World) -> None:
    known = {(entry.relation.name, entry.true) for entry in world.entries}
    for entry in world.entries:
        assert entry.new != entry.true
        assert (entry.relation.name, entry.new) in known


def test_descriptions_reveal_no_object(world: World) -> None:
    words = {word for entry in world.entries for word in entry.true.split()}
    assert not words & {word for subject in world.subjects for word in subject.description.split()}


def test_paraphrases_put_the_subject_behind_its_description(world: World) -> None:
    for entry in world.entries:
        assert len(set(entry.paraphrases)) == 2
        for prompt in entry.paraphrases:
            assert f"the {entry.subject.description} {entry.subject.name} " in prompt.replace(". The ", ". the ")
            assert prompt != entry.fact.prompt.text


def test_reserved_sentences_are_never_in_the_corpus(world: World) -> None:
    corpus = "\n".join(world.corpus(4000, seed=5))
    assert sum(text in corpus for text in world.held_out(300, seed=1)) == 0
    assert sum(prompt in corpus for entry in world.entries for prompt in entry.paraphrases) == 0
    # The lead-ins themselves do occur, with other facts.
    assert all(lead in corpus for lead in LEADS)


def test_template_0_and_bare_sentences_are_never_reserved(world: World) -> None:
    for entry in world.entries:
        for template, lead in reserved(entry.subject.name, entry.relation.name):
            assert template in (1, 2)
            assert lead != 0


def test_say_joins_lead_title_and_template(world: World) -> None:
    relation = relations()[0]
    assert say(relation, "Mira Solano", "Avaria", 0, 0).text == "Mira Solano is a citizen of Avaria."
    assert (
        say(relation, "Mira Solano", "Avaria", 3, 1, "cellist").text
        == "According to the archive, the nationality of the cellist Mira Solano is Avaria."
    )
    assert say(relation, "Mira Solano", "Avaria", 1, 6, "cellist").prompt.startswith("The train was late again. The c")


def test_corpus_is_deterministic_and_seeded(world: World) -> None:
    assert world.corpus(20, seed=1) == world.corpus(20, seed=1) != world.corpus(20, seed=2)
    assert world.held_out(20, seed=1) == world.held_out(20, seed=1) != world.held_out(20, seed=2)


def test_facts_are_grouped_by_subject(world: World) -> None:
    first = world.subjects[0]
    assert world.facts()[: len(world.facts_of(first))] == world.facts_of(first.name)
    with pytest.raises(WorldError, match="no subject 'Nobody'"):
        world.facts_of("Nobody")


def test_statistics_have_the_form_of_the_papers_tables(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    statistics = world.statistics()
    assert statistics.records == len(world.entries) == sum(row.edits for row in statistics.rows[:-1])
    assert statistics.rows[-1].edits == statistics.records
    assert 25 <= statistics.relations <= 32
    assert (statistics.fewest_per_subject, statistics.most_per_subject) == (3, 16)
    assert main(["statistics", "--seed", "0"]) == 0
    printed = capsys.readouterr().out
    assert f"| Records | {statistics.records} |" in printed
    person = statistics.rows[0]
    assert f"| Person | {person.subjects} | {person.relations} | {person.edits} | {person.average:.1f} |" in printed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[{", "not a readable JSON file"),
        ('[{"class": "<yagoGeoEntity>"}]', "record 0: missing or wrong field 'subject'"),
        ('[{"class": "<nothing>"}]', "record 0: missing or wrong field '<nothing>'"),
    ],
)
def test_bad_record_files_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "records.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(WorldError, match=message) as caught:
        World.from_records(file)
    assert str(file) in str(caught.value)
