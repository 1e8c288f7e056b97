# SPDX-License-Identifier: Apache-2.0
"""Three question types about the same facts."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from kedit.datasets.errors import DatasetError
from kedit.datasets.mqd import WORDING, Atomic, question_types, read_atomic
from kedit.datasets.questions import QuestionType, multiple_choice
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
        assert fact.paraphrases and fact.neighborhood  # whose answers are no letters
        assert choice.paraphrases == judgement.paraphrases == choice.neighborhood == judgement.neighborhood == ()
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


def atomic(folder: Path, extra: str = "", events: int = 30) -> Path:
    """Two inferences of each event, in turns of the nine relations."""
    names = list(WORDING)
    rows = [f"PersonX does thing {i}\t{names[(i + k) % 9]}\tto follow {i}-{k}" for i in range(events) for k in range(2)]
    path = folder / "atomic.tsv"
    path.write_text("event1\trelation\tevent2\n" + "\n".join(rows) + f"\n{extra}", encoding="utf-8")
    return path


@pytest.fixture
def rows(tmp_path: Path) -> Atomic:
    return read_atomic(atomic(tmp_path))


def test_the_types_have_one_core(rows: Atomic) -> None:
    by_line = {row.line: row for row in rows.rows}
    relation_of = {row.object: row.relation for row in rows.rows}
    for seed in range(10):
        made = question_types(rows.rows, 21, seed)
        assert len({fact.subject for fact in made["DG"]}) == 21
        for plain, choice, judgement in zip(made["DG"], made["MQ"], made["T/F"], strict=True):
            row = by_line[int(plain.id.removeprefix("line "))]
            stem = row.event + WORDING[row.relation]
            assert (plain.prompt.text, plain.subject, plain.target) == (stem, row.event, row.object)
            assert relation_of[plain.true] == row.relation
            followed = {other.object for other in rows.rows if other.event == row.event}
            assert plain.true not in followed
            options = OPTIONS.fullmatch(choice.prompt.text.removeprefix(stem))
            assert options
            letters = dict(zip(options.groups(), "abcd", strict=True))
            assert choice.target == letters.pop(row.object)
            assert choice.true in letters.values()
            assert not followed & set(letters)
            assert row.relation not in {relation_of[text] for text in letters}
            stated = judgement.prompt.text.removeprefix(f"{stem} ").partition(" . Is this sentence logical?")[0]
            assert (judgement.target, judgement.true) == (("yes", "no") if stated == row.object else ("no", "yes"))
            assert stated == row.object or stated in letters
            assert choice.subject == judgement.subject == row.event
        assert sorted(fact.target for fact in made["T/F"]) == ["no"] * 10 + ["yes"] * 11
        for kind in made:
            check_facts(made[kind])
    assert question_types(rows.rows, 21, 3) == question_types(rows.rows, 21, 3)
    assert question_types(rows.rows, 21, 3) != question_types(rows.rows, 21, 4)


def test_all_letters_are_asked_for(rows: Atomic) -> None:
    assert {fact.target for fact in question_types(rows.rows, 30, 0)["MQ"]} == set("abcd")


def test_what_cannot_be_used_is_counted(tmp_path: Path) -> None:
    extra = "\n".join(
        [
            "PersonX buys ___\txWant\tto pay",
            "PersonX buys it\txWant\tto pay ___",
            "PersonX buys it\txWant\tnone",
            "PersonX buys it\txWant\t",
            "PersonX buys A & B\txWant\tto pay",
            "shop\tAtLocation\ttown",
            "PersonX does thing 0\txIntent\tto follow 0-0",
        ]
    )
    read = read_atomic(atomic(tmp_path, extra))
    assert len(read.rows) == 60
    assert read.left_out == {
        "blank to fill in": 2,
        "no event": 2,
        "strange character": 1,
        "relation without wording": 1,
        "repeated": 1,
    }


def test_damaged_or_small_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"atomic\.tsv: line 62 has 2 columns"):
        read_atomic(atomic(tmp_path, "PersonX sleeps\txWant"))
    path = tmp_path / "other.tsv"
    path.write_text("shop\tAtLocation\ttown\n")
    with pytest.raises(DatasetError, match=r"no usable row \(relation without wording 1\)"):
        read_atomic(path)
    few = read_atomic(atomic(tmp_path, events=3)).rows
    with pytest.raises(DatasetError, match="the rows have 3"):
        question_types(few, 4, 0)
    with pytest.raises(DatasetError, match="needs 1 events that do not follow"):
        question_types(few[:2], 1, 0)


@pytest.mark.parametrize("kind", ["DG", "MQ", "T/F"])
def test_prompts_mark_the_whole_event(rows: Atomic, kind: QuestionType) -> None:
    for fact in question_types(rows.rows, 10, 0)[kind]:
        assert fact.prompt.left == ""
        assert fact.subject.startswith("PersonX does thing ")
