# SPDX-License-Identifier: Apache-2.0
"""Numbers against thresholds, and what known failures make of them."""

from __future__ import annotations

import math

import pytest

from kedit.gate.expectations import Expectation
from kedit.gate.judging import Judge, Node, PropertyViolation, UnexpectedOutcome
from kedit.gate.thresholds import Threshold, Thresholds

ID = "efficacy.single"


def bound(metric: str, value: float, direction: str = "min", **more) -> Threshold:
    return Threshold(ID, metric, value, direction, "share of facts", "a paper, table 1", "rounding", 0.1, **more)


def judge_with(*expected: Expectation) -> Judge:
    node = Node(editor="e", model="m", property=ID, parameters={"facts": 8})
    return Judge(node, Thresholds([bound("ES", 0.9), bound("EM", 0.5), bound("PPL", 2.0, "max")]), expected)


def statuses(judge: Judge) -> list[str]:
    return [row["status"] for row in judge.node.rows]


def test_the_bound_itself_is_met():
    judge = judge_with()
    assert judge.judge("ES", 0.9)
    assert judge.judge("PPL", 2.0)
    judge.finish()
    assert statuses(judge) == ["passed", "passed"]


@pytest.mark.parametrize(("metric", "measured"), [("ES", 0.899), ("PPL", 2.001), ("ES", math.nan), ("PPL", math.nan)])
def test_the_wrong_side_fails(metric, measured):
    judge = judge_with()
    assert not judge.judge(metric, measured)
    with pytest.raises(PropertyViolation):
        judge.finish()


def test_the_failure_lists_every_violation_with_all_there_is_to_know():
    judge = judge_with()
    judge.judge("ES", 0.25, note="keys collide")
    judge.judge("EM", 0.75)
    judge.judge("PPL", 3.0)
    with pytest.raises(PropertyViolation) as caught:
        judge.finish()
    first, second = str(caught.value).splitlines()
    for part in (ID, "ES", "0.25", "at least 0.9", "share of facts", "a paper, table 1", "0.1", "facts=8", "collide"):
        assert part in first
    assert "PPL is 3, must be at most 2" in second
    assert statuses(judge) == ["failed", "passed", "failed"]


def test_a_test_that_judges_nothing_is_an_error():
    with pytest.raises(LookupError, match="judged nothing"):
        judge_with().finish()


def test_a_number_without_threshold_is_an_error():
    with pytest.raises(LookupError, match=r"no entry for property 'efficacy\.single', metric 'F1'"):
        judge_with().judge("F1", 1.0)


def test_a_known_failure_covers_every_metric_unless_it_names_one():
    judge = judge_with(Expectation(ID, "keys collide"))
    judge.judge("ES", 0.1)
    judge.judge("EM", 0.1)
    with pytest.raises(PropertyViolation):
        judge.finish()
    assert statuses(judge) == ["xfailed", "xfailed"]
    assert judge.node.rows[0]["reason"] == "keys collide"


def test_a_failure_of_another_metric_stays_red():
    judge = judge_with(Expectation(ID, "keys collide", metric="ES"))
    judge.judge("ES", 0.1)
    judge.judge("EM", 0.1)
    with pytest.raises(UnexpectedOutcome, match=r"EM is 0\.1"):
        judge.finish()
    assert statuses(judge) == ["xfailed", "failed"]


def test_a_known_failure_that_is_gone_is_red_beside_others():
    judge = judge_with(Expectation(ID, "one", metric="ES"), Expectation(ID, "two", metric="EM"))
    judge.judge("ES", 0.1)
    judge.judge("EM", 0.9)
    with pytest.raises(UnexpectedOutcome, match="EM was expected to fail and did not"):
        judge.finish()
    assert statuses(judge) == ["xfailed", "failed"]


def test_a_known_failure_that_passes_is_marked_for_the_report():
    judge = judge_with(Expectation(ID, "keys collide"))
    judge.judge("ES", 1.0)
    judge.finish()  # pytest's strict xfail makes this red
    assert statuses(judge) == ["failed"]
    assert "unexpected pass" in judge.node.rows[0]["reason"]


def test_the_most_specific_threshold_decides():
    general, eight, tiny = bound("ES", 0.9), bound("ES", 0.5, parameters={"facts": 8}), bound("ES", 0.7, models=("m",))
    thresholds = Thresholds([eight, general])
    assert thresholds.find(ID, "ES", "m", {"facts": 8}) is eight
    assert thresholds.find(ID, "ES", "m", {"facts": 2}) is general
    assert Thresholds([general, tiny]).find(ID, "ES", "other", {}) is general
    assert Thresholds([general, tiny]).find(ID, "ES", "m", {}) is tiny
