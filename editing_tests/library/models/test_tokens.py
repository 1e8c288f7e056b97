# SPDX-License-Identifier: Apache-2.0
"""Positions from offsets, over tokenizers with and without BOS, byte-level and SentencePiece-like."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from editing_tests.library.profiles import drawn
from editing_tests.library.random_models import TINY, tokenizer
from kedit.facts import FactError, Prompt
from kedit.models.tokens import Row, Text, collate, encode

words = st.sampled_from(
    ["Mira Solano", "the", "{}", "{0}", "Głogów County", "2012", "naïve", "x", "日本", "🙂", "O'Neil", "is", "new-born"]
)
subjects = st.sampled_from(["Mira Solano", "Głogów", "Ada", "No. 5", "{}", "日本", "Ana María", "1984", "🙂 Trio"])
targets = st.sampled_from(["Spain", "2012", "6300", "Głogów County", "🙂", "{}", "oboe", "a b c", "-3"])
# Pitfall 10: what stands before a subject need not end in a blank.
openings = st.sampled_from(["", "(", "«", "“", "new-", "the ("])
lefts = st.tuples(st.lists(words, max_size=4), openings).map(
    lambda parts: "".join(f"{w} " for w in parts[0]) + parts[1]
)
rights = st.sampled_from(
    [" is a citizen of", ", which is located in", "'s mother is", " was born in the year", " ({}) has"]
)
prefixes = st.sampled_from(["", "Rain fell all morning. ", "2012. ", "{}. ", "日本. "])


@pytest.mark.parametrize("name", TINY)
@drawn()
@given(lefts, subjects, rights, targets, prefixes)
@example("Ada and ", "Ada", " is a citizen of", "2012", "")
@example("(", "{}", " ({}) has", "{}", "{}. ")
@example("Pre-", "Ada", "'s mother is", "Głogów County", "")
def test_subject_and_target_stand_where_the_text_has_them(
    name: str, left: str, subject: str, right: str, target: str, prefix: str
) -> None:
    words = tokenizer(name)
    text = Text(Prompt(left, subject, right), target, prefix)
    (row,) = encode(words, [text])
    assert row.subject_last is not None
    # Decoding up to the subject's last token ends with the subject: not one token early, not one late.
    upto = words.decode(row.ids[: row.subject_last + 1], skip_special_tokens=True)
    before = words.decode(row.ids[: row.subject_last], skip_special_tokens=True)
    wanted = prefix + left + subject
    assert upto.strip() == wanted.strip()
    assert before.strip() != wanted.strip()
    # The labels are the ids of the whole sentence, without a special token, and say the target.
    whole = words(text.full)["input_ids"]
    assert list(row.ids) == whole
    assert words.decode(row.target_ids).strip() == target
    assert not set(row.target_ids) & set(words.all_special_ids)


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("target", ["2012", "Spain", "Głogów County", "🙂"])
def test_the_prompt_alone_is_the_beginning_of_the_whole(name: str, target: str) -> None:
    words = tokenizer(name)
    prompt = Prompt.from_template("{} is a citizen of", "Mira Solano")
    (row,) = encode(words, [Text(prompt, target)])
    assert list(row.ids[: row.target_start]) == words(prompt.text)["input_ids"]


def test_a_lone_word_boundary_before_digits_is_a_label() -> None:
    words = tokenizer("tiny-llama")
    (row,) = encode(words, [Text(Prompt.from_template("{} was born in the year", "Ada"), "2012")])
    assert words.convert_ids_to_tokens(list(row.target_ids)) == ["▁", "2", "0", "1", "2"]


def test_the_declared_occurrence_is_the_one_that_counts() -> None:
    words = tokenizer("tiny-gpt2")
    first = Prompt("", "Ada", " knows that Ada is")
    second = Prompt("Ada knows that ", "Ada", " is")
    rows = encode(words, [Text(first), Text(second)])
    assert rows[0].ids == rows[1].ids
    assert rows[0].subject_last is not None and rows[1].subject_last is not None
    assert rows[0].subject_last < rows[1].subject_last


@drawn()
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.sampled_from(["left", "right"]))
def test_padding_moves_columns_and_nothing_else(lengths: list[int], side: str) -> None:
    rows = [Row(tuple(range(10, 10 + n)), n - 1, n) for n in lengths]
    batch = collate(rows, pad_id=7, side="left" if side == "left" else "right")
    for i, row in enumerate(rows):
        first, n = int(batch.first[i]), len(row.ids)
        assert batch.ids[i, first : first + n].tolist() == list(row.ids)
        assert batch.positions[i, first : first + n].tolist() == list(range(n))
        assert batch.mask[i].sum() == n and batch.mask[i, first : first + n].all()
    assert batch.columns([n - 1 for n in lengths]).tolist() == [
        int(batch.first[i]) + n - 1 for i, n in enumerate(lengths)
    ]


def test_a_target_needs_a_token_before_it() -> None:
    with pytest.raises(FactError, match="give a longer prompt"):
        encode(tokenizer("tiny-gpt2"), [Text(Prompt("", "", ""), "Spain")])
