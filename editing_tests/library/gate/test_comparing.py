# SPDX-License-Identifier: Apache-2.0
"""Two reports side by side."""

from __future__ import annotations

from dataclasses import replace

import pytest

from editing_tests.library.gate.examples import MODELS, SAME, report, row, skipped
from kedit.gate.comparing import compare, compare_reports
from kedit.gate.report import Report
from kedit.gate.report_files import write_reports

ID = "efficacy.single"


def judged(*rows, **more) -> Report:
    """A report with these rows alone."""
    return replace(report(models=MODELS[:1], **more), results=rows)


def told(old: Report, new: Report) -> list[str]:
    return compare_reports(old, new).lines


def test_equal_reports_have_nothing_to_tell(tmp_path):
    write_reports(tmp_path / "one", [report()])
    found = compare(tmp_path / "one", tmp_path / "one" / "report.json")
    assert not found.worse
    assert found.lines == ["0 worse, 0 better, 14 numbers unchanged"]


def test_seconds_are_no_difference():
    one = report()
    other = replace(one, results=tuple(replace(r, seconds=99.0) for r in one.results))
    assert told(one, other) == told(one, one)


@pytest.mark.parametrize(("before", "after", "bound", "worse"), [
    (0.97, 0.90, ">=", True),  # more than a quarter of the way to 0.85
    (0.97, 0.95, ">=", False),
    (0.97, 1.00, ">=", None),  # a quarter away from it
    (1.00, 0.97, ">=", False),
    (1.10, 1.15, "<=", True),
    (1.10, 1.00, "<=", None),
    (1.10, 1.11, "<=", False),
])  # fmt: skip
def test_a_number_that_moves_towards_its_threshold_is_worse(before, after, bound, worse):
    threshold = 0.85 if bound == ">=" else 1.2
    old, new = (judged(row(ID, "ES", value, threshold, bound=bound)) for value in (before, after))
    found = compare_reports(old, new)
    assert found.worse is bool(worse)
    moved = found.got_worse if worse else found.got_better
    assert len(moved) == (worse is not False)
    assert found.unchanged == (worse is False)
    if worse:
        line = f"worse: {ID} ES on tiny-gpt2: {before:.3g} -> {after:.3g} (must be {bound} {threshold:g}, passed)"
        assert line in found.lines


def test_a_known_failure_that_fails_farther_is_worse():
    old, new = (judged(row(SAME, "ES", value, 0.8, "xfailed")) for value in (0.4, 0.1))
    assert compare_reports(old, new).worse
    assert not compare_reports(new, old).worse


@pytest.mark.parametrize(("before", "after", "sign"), [
    ("passed", "failed", 1),
    ("passed", "xfailed", 1),
    ("xfailed", "failed", 1),
    ("failed", "xfailed", -1),
    ("xfailed", "passed", -1),
    ("skipped", "failed", 1),
    ("skipped", "passed", 0),
    ("passed", "skipped", 1),
    ("failed", "skipped", 0),
])  # fmt: skip
def test_a_status_that_changes_is_told(before, after, sign):
    def one(status: str) -> Report:
        if status == "skipped":
            return judged(skipped(ID, reason="no tag batch"), row(SAME, "ES", 0.9, 0.8))
        value = 0.9 if status == "passed" else 0.1
        return judged(row(ID, "ES", value, 0.8, status), row(SAME, "ES", 0.9, 0.8))

    found = compare_reports(one(before), one(after))
    words = {"xfailed": "known failure"}
    line = f"{ID} on tiny-gpt2: {words.get(before, before)} -> {words.get(after, after)}"
    lists = {1: found.got_worse, -1: found.got_better, 0: found.other}
    assert [text for text in lists[sign] if text.startswith(line)]
    assert not [text for s in lists if s != sign for text in lists[s] if text.startswith(line)]


def test_a_crash_is_worse_and_told_with_its_reason():
    crash = replace(skipped(ID, reason="call: RuntimeError: out of memory"), status="failed")
    found = compare_reports(judged(row(ID, "ES", 0.9, 0.8)), judged(crash))
    assert f"{ID} on tiny-gpt2: passed -> failed (call: RuntimeError: out of memory)" in found.got_worse
    assert not [line for line in found.lines if "no longer measured" in line]  # the crash says it


def test_models_with_the_same_change_share_a_line():
    both = report()
    one = replace(both, results=tuple(r for r in both.results if r.property != ID))
    assert compare_reports(both, one).got_worse == [f"{ID} on tiny-gpt2, tiny-llama: passed -> not in the report"]


def test_the_verdict_is_told():
    old = judged(row(ID, "ES", 0.9, 0.8), verdict="e: accepted")
    new = judged(row(ID, "ES", 0.1, 0.8, "failed"), verdict="e: rejected by: efficacy.single")
    assert "worse: the verdict: e: accepted -> e: rejected by: efficacy.single" in told(old, new)
    assert "better: the verdict: e: rejected by: efficacy.single -> e: accepted" in told(new, old)


def test_rows_that_vanish_and_come_are_told():
    two = judged(row(ID, "ES", 0.9, 0.8), row(ID, "PS", 0.9, 0.8))
    one = judged(row(ID, "ES", 0.9, 0.8))
    assert told(two, one)[0] == f"worse: {ID} PS on tiny-gpt2: no longer measured, was 0.9 (must be >= 0.8, passed)"
    assert told(one, two)[0] == f"also: {ID} PS on tiny-gpt2: newly measured, 0.9 (must be >= 0.8, passed)"
    assert not compare_reports(one, two).worse


def test_a_number_that_is_judged_twice_is_compared_with_its_own():
    old = judged(row(ID, "ES", 0.9, 0.8), row(ID, "ES", 0.99, 0.8))
    new = judged(row(ID, "ES", 0.9, 0.8), row(ID, "ES", 0.81, 0.8))
    assert compare_reports(old, new).got_worse == [f"{ID} ES on tiny-gpt2: 0.99 -> 0.81 (must be >= 0.8, passed)"]


def test_what_makes_reports_differ_is_told_first():
    changed = {
        "editor": "memit",
        "seed": 3,
        "versions": {"python": "3.11.7", "torch": "2.14.0"},
        "models": {"tiny-gpt2": {"fingerprint": "f" * 64}, "other": {}},
        "notes": ("loosened",),
    }
    lines = told(report(), replace(report(), **changed))
    assert lines[:7] == [
        "different editor: memit-merge and memit",
        "different seed: 0 and 3",
        "different notes: none and loosened",
        "different versions: kedit 0.1.0 and none",
        "different versions: torch 2.13.0 and 2.14.0",
        "different models: other only in the new report",
        "different models: tiny-llama only in the old report",
    ]
    assert lines[7] == "different models: tiny-gpt2 has fingerprint 4de82a762250 and ffffffffffff"
    assert not [line for line in lines if line.startswith("worse")]  # another model is no loss


def test_a_threshold_that_changed_is_told_and_the_numbers_are_held_to_the_new_one():
    old, new = (judged(row(ID, "ES", 0.9, bound)) for bound in (0.8, 0.85))
    assert told(old, new)[0] == f"also: {ID} ES on tiny-gpt2: threshold 0.8 -> 0.85"
    assert not compare_reports(old, new).worse


def test_wrong_files_are_told_by_name(tmp_path):
    write_reports(tmp_path / "one", [report()])
    with pytest.raises(ValueError, match=r"two.*no report can be read"):
        compare(tmp_path / "one", tmp_path / "two")
