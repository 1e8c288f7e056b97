# SPDX-License-Identifier: Apache-2.0
"""Expectations as text: what is written is read as it was, and what stays is not touched."""

from __future__ import annotations

import tomllib

import pytest

from kedit.gate.expectation_files import HEADER, entry_text, file_text, without_entries
from kedit.gate.expectations import Expectation

TEXT = """\
# ours

# about the first
[[expect]]
property = "efficacy.single"   # the one
reason = "a"

# about the second
[[expect]]
property = "locality.neighbors"
reason = '''
[[expect]] of old'''
[expect.parameters]
facts = 8

[[ expect ]]
property = "longevity.repeat"
reason = "c"
"""


def test_an_entry_is_read_as_it_was_written() -> None:
    reason = 'say "why" \\ and\n\tso \x7f über'
    parameters = {"facts": [8, 12], "at": "end", "share": 0.5, "all of it": True}
    entry = Expectation("efficacy.single", reason, "ES", parameters, ("tiny-gpt2",), ("a:B",))
    (row,) = tomllib.loads(entry_text(entry))["expect"]
    assert row == {
        "property": "efficacy.single",
        "editors": ["a:B"],
        "models": ["tiny-gpt2"],
        "parameters": parameters,
        "metric": "ES",
        "reason": reason,
    }


def test_what_toml_has_no_word_for_is_refused() -> None:
    with pytest.raises(ValueError, match="None cannot be written as TOML"):
        entry_text(Expectation("p", "r", parameters={"at": None}))


def test_removed_entries_take_their_comments_and_leave_the_rest() -> None:
    assert without_entries(TEXT, []) == TEXT
    kept = without_entries(TEXT, [1])
    assert "about the second" not in kept
    assert kept.startswith(TEXT[: TEXT.index("# about the second")])
    assert [row["property"] for row in tomllib.loads(kept)["expect"]] == ["efficacy.single", "longevity.repeat"]
    assert without_entries(TEXT, [0, 1, 2]) == "# ours\n\n"


def test_entries_written_as_an_array_are_not_cut() -> None:
    with pytest.raises(ValueError, match=r"do not each stand under \[\[expect\]\]"):
        without_entries('expect = [{ property = "p", reason = "r" }]\n', [0])


def test_new_entries_stand_after_what_is_there() -> None:
    text = file_text(TEXT, [Expectation("efficacy.distinct-batch", "d")])
    assert text.startswith(TEXT)
    assert len(tomllib.loads(text)["expect"]) == 4
    assert file_text(HEADER, []) == HEADER
