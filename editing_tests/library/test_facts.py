# SPDX-License-Identifier: Apache-2.0
"""Facts that cannot be edited are refused with the record, the field and the mend."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedit.facts import Fact, FactError, Prompt, check_facts

GOOD = Fact(Prompt.from_template("{} lives in", "Mira"), "Spain", "Peru", id="record 7")


@given(st.text(), st.text(min_size=1), st.text())
def test_a_prompt_is_its_three_pieces(left: str, subject: str, right: str) -> None:
    prompt = Prompt(left, subject, right)
    start, end = prompt.subject_span
    assert prompt.text == left + subject + right
    assert prompt.text[start:end] == subject


@given(st.text(min_size=1))
def test_braces_are_never_formatted(subject: str) -> None:
    assert Prompt.from_template("{} said {0} and {}", subject).text == f"{subject} said {{0}} and {{}}"


def test_a_filled_prompt_marks_the_first_occurrence() -> None:
    prompt = Prompt.from_text("Ada knows Ada", "Ada")
    assert (prompt.left, prompt.right) == ("", " knows Ada")


@pytest.mark.parametrize(("text", "subject"), [("mira lives in", "Mira"), ("anything", "")])
def test_a_subject_that_is_not_in_the_prompt(text: str, subject: str) -> None:
    with pytest.raises(FactError, match=r"is not in the prompt .*; spell it as the prompt does"):
        Prompt.from_text(text, subject)


def test_a_template_without_slot() -> None:
    with pytest.raises(FactError, match="mark where the subject stands"):
        Prompt.from_template("she lives in", "Mira")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": ""}, "fact 'record 7': field 'target' is empty; give the new object"),
        ({"target": "  "}, "fact 'record 7': field 'target' is empty"),
        ({"target": " Spain"}, "field 'target' has blanks at its ends; give 'Spain'"),
        ({"target": "Peru"}, "field 'target' equals the true object 'Peru'; there is nothing to edit"),
        ({"prompt": Prompt("", "", " lives in")}, "field 'subject' is empty; name the subject"),
        ({"prompt": Prompt("", "Mira ", "lives in")}, "field 'subject' has blanks at its ends"),
        ({"prompt": Prompt("", "Mira", " lives in ")}, "field 'prompt' ends in a blank; remove it"),
    ],
)
def test_fields_that_cannot_be_edited(change: dict[str, object], message: str) -> None:
    with pytest.raises(FactError) as caught:
        check_facts([dataclasses.replace(GOOD, **change)])  # type: ignore[arg-type]
    assert message in str(caught.value)


@pytest.mark.parametrize("field", ["paraphrases", "neighborhood"])
@pytest.mark.parametrize("text", ["", "Eve lives in "])
def test_prompts_that_would_be_joined_after_two_blanks(field: str, text: str) -> None:
    """Pitfall 49."""
    bad = dataclasses.replace(GOOD, **{field: ("Eve's home is", text)})  # type: ignore[arg-type]
    with pytest.raises(FactError, match=f"fact 'record 7': field '{field}' has the text '{text}', which is empty or"):
        check_facts([bad])


def test_batches_that_cannot_be_edited() -> None:
    other = dataclasses.replace(GOOD, target="Chile", id="record 8")
    with pytest.raises(FactError, match=r"fact 'record 8': field 'target' contradicts .* 'Spain' and 'Chile'"):
        check_facts([GOOD, other])
    with pytest.raises(FactError, match="stands twice in the batch with the same target; remove the duplicate"):
        check_facts([GOOD, dataclasses.replace(GOOD, id="record 9")])
    with pytest.raises(FactError, match="stands twice"):
        check_facts([GOOD, GOOD])
    with pytest.raises(FactError, match="the batch has no facts"):
        check_facts([])
    check_facts([GOOD])
