# SPDX-License-Identifier: Apache-2.0
"""Known failures from what was found: as few entries as name the failing tests, and no more than those."""

from __future__ import annotations

from typing import Any

import pytest

from kedit.gate.expectations import Expectation
from kedit.gate.merging import Merged, Outcome, Test, merge
from kedit.paths import tiny_models

ID = "perturbation.same-subject-batch"
FACTS = (2, 4, 8, 12)
ALL = [(facts, model) for facts in FACTS for model in tiny_models()]


def place(facts: int, model: str = "tiny-gpt2", editor: str = "e") -> Test:
    return Test(editor, model, ID, {"facts": facts})


def row(metric: str, measured: float = 0.1) -> dict[str, Any]:
    return {"parameters": {"metric": metric}, "measured": measured, "threshold": 0.5, "bound": ">="}


def found(failing: dict[tuple[int, str], list[str]]) -> list[Outcome]:
    return [Outcome(place(*key), tuple(map(row, failing.get(key, [])))) for key in ALL]


def merged(outcomes: list[Outcome], *entries: Expectation, tests: list[Test] | None = None) -> Merged:
    there = [place(*key) for key in ALL] if tests is None else tests
    return merge(entries, outcomes, there, ["e"], {test.model for test in there})


def short(result: Merged) -> list[tuple[Any, ...]]:
    return [(entry.metric, dict(entry.parameters), entry.models) for entry in result.new]


def test_what_fails_everywhere_is_one_bare_entry() -> None:
    assert short(merged(found({key: ["ES"] for key in ALL}))) == [("ES", {}, ())]


def test_parameters_and_models_are_named_where_not_all_fail() -> None:
    failing = {key: ["ES"] for key in ALL if key[0] >= 8} | {(2, "tiny-llama"): ["PS"]}
    assert short(merged(found(failing))) == [("ES", {"facts": [8, 12]}, ()), ("PS", {"facts": 2}, ("tiny-llama",))]


def test_a_run_on_one_model_says_nothing_of_others() -> None:
    tests = [place(facts) for facts in FACTS]
    outcomes = [Outcome(test, (row("ES"),)) for test in tests]
    assert short(merged(outcomes, tests=tests)) == [("ES", {}, ("tiny-gpt2",))]


def test_tests_that_did_not_run_are_not_claimed_to_fail() -> None:
    outcomes = [Outcome(place(8, model), (row("ES"),)) for model in tiny_models()]
    assert short(merged(outcomes)) == [("ES", {"facts": 8}, ())]


def test_a_new_entry_tells_what_was_measured_and_asks_why() -> None:
    outcomes = [Outcome(place(8), (row("ES", 0.1), row("ES", 0.25))), Outcome(place(12), (row("ES", 0.2),))]
    (entry,) = merged(outcomes).new
    assert entry.reason == "measured 0.1 to 0.25, must be at least 0.5; write down why"


@pytest.mark.parametrize("metric", [None, "ES"])
def test_an_entry_whose_tests_all_fail_stays(metric: str | None) -> None:
    known = Expectation(ID, "keys collide", metric=metric, origin="entry 1")
    result = merged(found({key: ["ES"] for key in ALL}), known)
    assert (result.kept, result.new, result.dropped) == ((known,), (), ())


def test_another_metric_of_a_covered_test_gets_an_entry_beside_it() -> None:
    known = Expectation(ID, "keys collide", metric="ES", origin="entry 1")
    result = merged(found({key: ["ES", "PS"] for key in ALL}), known)
    assert result.kept == (known,)
    assert short(result) == [("PS", {}, ())]


def test_an_entry_that_holds_in_part_is_narrowed_and_keeps_its_reason() -> None:
    known = Expectation(ID, "keys collide", origin="entry 1")
    result = merged(found({key: ["ES"] for key in ALL if key[0] == 12}), known)
    assert (result.kept, short(result)) == ((), [("ES", {"facts": 12}, ())])
    assert result.new[0].reason == "keys collide"
    assert "holds in part" in result.dropped[0]


def test_stale_entries_are_dropped_by_name() -> None:
    gone = Expectation(ID, "keys collide", origin="entry 1")
    nowhere = Expectation(ID, "keys collide", parameters={"facts": 5}, origin="entry 2")
    result = merged(found({}), gone, nowhere)
    assert result.kept == ()
    assert result.dropped == (f"entry 1, {ID}: holds now", f"entry 2, {ID}: matches no test")


def test_what_the_run_cannot_tell_stays() -> None:
    other_model = Expectation(ID, "keys collide", models=("mine",))
    other_tests = Expectation(ID, "keys collide", parameters={"facts": 12})
    part = Expectation(ID, "keys collide", models=("tiny-gpt2",), origin="entry 3")
    result = merged([Outcome(place(2))], other_model, other_tests, part)
    assert result.kept == (other_model, other_tests, part)
    assert result.remarks == (f"entry 3, {ID}: holds in part; run all of its tests to narrow it",)


def test_a_crash_is_listed_and_never_written() -> None:
    outcomes = [Outcome(place(8), crashed=True), Outcome(place(12), (row("ES"),))]
    result = merged(outcomes, tests=[place(8), place(12)])
    assert short(result) == [("ES", {"facts": 12}, ("tiny-gpt2",))]
    assert result.remarks == (f"{ID} [e, tiny-gpt2, facts=8]: it crashed; a crash is no known failure",)


def test_a_crash_says_nothing_of_an_entry() -> None:
    known = Expectation(ID, "keys collide", parameters={"facts": 8}, origin="entry 1")
    result = merged([Outcome(place(8), crashed=True)], known, tests=[place(8), place(12)])
    assert (result.kept, result.dropped) == ((known,), ())


def test_tests_with_equal_parameters_cannot_be_told_apart() -> None:
    tests = [Test("e", "tiny-gpt2", ID, {}), Test("e", "tiny-gpt2", ID, {"facts": 8})]
    outcomes = [Outcome(tests[0], (row("ES"),)), Outcome(tests[1])]
    result = merged(outcomes, tests=tests)
    assert result.new == ()
    assert "no entry can name it alone" in result.remarks[0]


def test_one_of_several_editors_is_named() -> None:
    tests = [place(8, editor=name) for name in ("a", "b")]
    result = merge((), [Outcome(tests[0], (row("ES"),)), Outcome(tests[1])], tests, ["a", "b"], {"tiny-gpt2"})
    assert [entry.editors for entry in result.new] == [("a",)]
