# SPDX-License-Identifier: Apache-2.0
"""The built-in facts and texts: their structure, and that what the file says is consistent."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

import kedit.datasets
from editing_tests.library.datasets import published
from editing_tests.library.datasets.published import written
from kedit.cli import main
from kedit.datasets import DatasetError, common_knowledge, common_texts, read_dataset, read_groups
from kedit.datasets.sampling import Sampler
from kedit.experiments.file_source import FileSource
from kedit.fact_files import read_facts
from kedit.facts import Fact, Prompt, check_facts
from kedit.models.tokens import Text, encode
from kedit.paths import fixtures_dir

HOUSE = Path(kedit.datasets.__file__).parent
FILE = tomllib.loads((HOUSE / "common_knowledge.toml").read_text(encoding="utf-8"))
PAGE = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text(encoding="utf-8")
FACTS = [fact for facts in common_knowledge().values() for fact in facts]
REWRITES = {fact.prompt.text: fact for fact in FACTS}
MODELS = sorted(path.name for path in (fixtures_dir() / "models").iterdir())


def relations() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for kind, table in FILE.items():
        for name, relation in table.items():
            if name != "subjects":
                yield kind, name, relation


RELATIONS = [pytest.param(*row, id=f"{row[0]}.{row[1]}") for row in relations()]


def relation_of(fact: Fact) -> Mapping[str, Any]:
    (found,) = (
        relation
        for kind, name, relation in relations()
        if name == fact.relation and fact.subject in FILE[kind]["subjects"]
    )
    return found


def test_there_are_sixty_subjects_with_three_to_eight_facts() -> None:
    sizes = {subject: len(facts) for subject, facts in common_knowledge().items()}
    assert list(sizes) == [subject for table in FILE.values() for subject in table["subjects"]]
    assert len(sizes) == 60
    assert min(sizes.values()) >= 3 and max(sizes.values()) <= 8
    assert list(sizes.values()).count(8) >= 10
    assert sum(sizes.values()) >= 5 * len(sizes)


def test_facts_can_be_edited_in_one_batch_and_none_stands_twice() -> None:
    check_facts(FACTS)  # fields, blanks, targets, prompts
    assert len({fact.id for fact in FACTS}) == len(FACTS)
    for subject, facts in common_knowledge().items():
        assert {fact.subject for fact in facts} == {subject}
        assert len({fact.relation for fact in facts}) == len(facts), subject


def test_a_kind_has_the_same_words_before_its_subjects() -> None:
    for kind, table in FILE.items():
        lefts = {fact.prompt.left for subject in table["subjects"] for fact in common_knowledge()[subject]}
        assert len(lefts) == 1, kind
        assert len(lefts.pop().split()) <= 4, kind


def test_prompts_name_their_subject_once_and_paraphrases_differ() -> None:
    for fact in FACTS:
        prompts = [fact.prompt.text, *fact.paraphrases]
        assert len(set(prompts)) == len(prompts) >= 3, fact.id
        for text in prompts:
            assert text.count(fact.subject) == 1, text
            assert not re.search(r"\b[Aa] [aeiou]", text), text


def test_objects_are_short() -> None:
    for fact in FACTS:
        for one in (fact.true, fact.target):
            assert 1 <= len(one.split()) <= 3, (fact.id, one)


def test_neighbors_are_four_other_subjects_with_the_true_object() -> None:
    for fact in FACTS:
        holders = relation_of(fact)["objects"][fact.true]
        left, right = fact.prompt.left, fact.prompt.right
        assert 4 <= len(set(fact.neighborhood)) == len(fact.neighborhood) <= 5, fact.id
        for text in fact.neighborhood:
            assert fact.subject not in text
            assert text.startswith(left) and text.endswith(right)
            assert text[len(left) : len(text) - len(right)] in holders
            assert text not in REWRITES


def test_new_objects_are_of_the_relation_and_do_not_hold() -> None:
    for fact in FACTS:
        relation = relation_of(fact)
        assert fact.target in relation["objects"], fact.id
        assert fact.subject not in relation["objects"][fact.target], fact.id
        assert fact.target not in relation.get("also", {}).get(fact.subject, ()), fact.id


@pytest.mark.parametrize(("kind", "name", "relation"), RELATIONS)
def test_the_file_says_nothing_twice(kind: str, name: str, relation: Mapping[str, Any]) -> None:
    assert relation.keys() <= {"templates", "also", "objects"}
    assert all(template.count("{}") == 1 for template in relation["templates"])
    held = Counter(holder for holders in relation["objects"].values() for holder in holders)
    assert not [holder for holder, number in held.items() if number > 1], "true of two objects"
    assert set(held) & {*FILE[kind]["subjects"]}, "no fact is made of it"
    for subject, also in relation.get("also", {}).items():
        assert subject in FILE[kind]["subjects"] and held[subject], subject
        assert {*also} <= {*relation["objects"]}, subject
        assert not [one for one in also if subject in relation["objects"][one]], subject


def test_draws_are_the_same_everywhere() -> None:
    text = "\n".join(f"{fact.prompt.text} {fact.true} -> {fact.target}" for fact in FACTS)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "9d438a9eb3285f7d"


@pytest.mark.parametrize("name", MODELS)
def test_every_prompt_has_tokens(name: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(fixtures_dir() / "models" / name)
    texts = [Text(fact.prompt, target) for fact in FACTS for target in (fact.true, fact.target)]
    texts += [
        Text(Prompt.from_text(text, fact.subject), fact.target) for fact in FACTS for text in fact.paraphrases
    ]
    texts += [Text(Prompt(text, "", ""), fact.true) for fact in FACTS for text in fact.neighborhood]
    assert len(encode(tokenizer, texts)) == len(texts)
    assert min(len(tokenizer(text)["input_ids"]) for text in common_texts()) > 8


def test_texts_are_plain_and_name_no_subject() -> None:
    texts = common_texts()
    assert len(set(texts)) == len(texts) >= 60
    subjects = re.compile("|".join(rf"\b{re.escape(subject)}" for subject in common_knowledge()), re.IGNORECASE)
    for text in texts:
        assert text.isascii() and text == text.strip() and text.endswith(".")
        assert not subjects.search(text), text


def test_the_name_is_read_like_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_dataset("common-knowledge").by_subject() == common_knowledge() == read_groups("common-knowledge")
    assert main(["dataset", "convert", "common-knowledge", str(tmp_path / "facts.json")]) == 0
    assert list(read_facts(tmp_path / "facts.json")) == FACTS
    assert main(["dataset", "stats", "common-knowledge", "--json"]) == 0
    printed = capsys.readouterr().out.splitlines()
    data = json.loads("\n".join(printed[1:]))
    assert data["statistics"]["records"] == len(FACTS)
    assert len(data["fingerprint"]) == 64
    with pytest.raises(DatasetError, match="format 's2rke' is not that of common-knowledge"):
        read_dataset("common-knowledge", "s2rke")
    with pytest.raises(DatasetError, match="option 'target' is not known"):
        read_dataset("common-knowledge", target="answers")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_dataset("./common-knowledge")


def test_experiments_draw_from_facts_and_texts() -> None:
    source = FileSource(read_dataset("common-knowledge"), common_texts())
    assert len({fact.subject for fact in source.sampler.distinct(60, 0)}) == 60
    assert len(source.sampler.density(40, 4, 0)) == 40
    assert {*source.texts(60, 0)} == {*common_texts()}
    assert len(source.questions(5, 0, [])) == 5


def test_the_page_has_the_counts() -> None:
    part = PAGE.partition("\n## Built-in facts and texts\n")[2].partition("\n## ")[0]
    sizes = [len(facts) for facts in common_knowledge().values()]
    average = f"{sum(sizes) / len(sizes):.1f}"
    words = " ".join(part.split())
    assert f"{len(FACTS)} facts of 60 subjects, 3 to 8 of each and {average} on average" in words
    assert f"{sizes.count(8)} subjects with 8" in words
    assert f"gives {len(common_texts())} plain sentences" in words
    rows = [
        f"| {kind} | {len(table['subjects'])} | {sum(len(common_knowledge()[one]) for one in table['subjects'])} |"
        for kind, table in FILE.items()
    ]
    assert re.findall(r"^\| \w+ \| \d+ \| \d+ \|$", part, flags=re.MULTILINE) == rows


@pytest.mark.parametrize(
    ("make", "subjects"),
    [(published.s2rke, 4), (published.counterfact, 4), (published.own, 4)],
    ids=["s2rke", "counterfact", "own"],
)
def test_groups_of_any_format_are_drawn_from(tmp_path: Path, make: Any, subjects: int) -> None:
    path = written(tmp_path, [make(n) for n in range(4)])
    groups = read_groups(path)
    assert groups == read_dataset(path).by_subject()
    assert len(Sampler(groups).distinct(subjects, 0)) == subjects
    with pytest.raises(DatasetError, match=rf"cannot draw 5 subjects .*: the data set has {subjects}, counted"):
        Sampler(groups).distinct(5, 0)


def test_a_repeated_prompt_is_left_out_of_groups(tmp_path: Path) -> None:
    path = written(tmp_path, [published.own(0), published.own(0) | {"target": "Chile"}, published.own(1)])
    assert [len(facts) for facts in read_groups(path).values()] == [1, 1]
    assert [len(facts) for facts in read_dataset(path).by_subject().values()] == [2, 1]


def test_too_much_asked_says_how_much_there_is() -> None:
    sampler = Sampler(common_knowledge())
    assert len(sampler.same_subject(8, 0)) == 8
    with pytest.raises(
        DatasetError,
        match="cannot draw 1 subjects with at least 9 facts each: the data set has 0, counted by facts 3: 1, 4: 9, "
        "5: 18, 6: 11, 7: 6, 8: 15;",
    ):
        sampler.same_subject(9, 0)
    with pytest.raises(DatasetError, match="the data set has 0, as there are no subjects at all"):
        Sampler({}).distinct(1, 0)
