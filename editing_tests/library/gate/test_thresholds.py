# SPDX-License-Identifier: Apache-2.0
"""What an entry of the thresholds file must say about its sides."""

from __future__ import annotations

import pytest

from kedit.gate.run import suite_folder
from kedit.gate.thresholds import Threshold, Thresholds

SIDES = 'basis = "sides"\ngood = ["memit-merge"]\nbad = ["memit"]'


@pytest.fixture
def entry_with(tmp_path):
    def read(fields: str):
        path = tmp_path / "thresholds.toml"
        path.write_text(
            '[[threshold]]\nproperty = "efficacy.single"\nmetric = "ES"\nvalue = 0.8\ndirection = "min"\n'
            f'unit = "share of facts"\nsource = "a paper"\nmargin = 0.1\n{fields}\n'
        )
        (entry,) = Thresholds.read(path).entries
        return entry

    return read


def test_sides_are_read(entry_with):
    entry = entry_with(SIDES)
    assert (entry.basis, entry.good, entry.bad) == ("sides", ("memit-merge",), ("memit",))
    assert entry_with('basis = "rounding"').good == ()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("", "field 'basis' is missing"),
        ('basis = "taste"', "basis must be one of exact, rounding, sides, published, not 'taste'"),
        ('basis = "sides"\ngood = ["memit-merge"]', "field 'bad' is missing; name the editors"),
        ('basis = "sides"\ngood = []\nbad = ["memit"]', "field 'good' is missing; name the editors"),
        ('basis = "rounding"\ngood = ["memit-merge"]', "field 'good' needs the basis 'sides', not 'rounding'"),
        ('basis = "exact"', "'margin' of an exact requirement must be 0, not 0.1"),
        (SIDES.replace('["memit"]', '["memit", "memit"]'), "field 'bad' must list each editor once"),
        (SIDES.replace('["memit"]', "[1]"), "field 'bad' must list each editor once, by its name"),
        (SIDES.replace('["memit"]', '"memit"'), "field 'bad' must be a list"),
        (SIDES.replace('["memit"]', '["memit-merge"]'), "memit-merge stands on both sides"),
    ],
)
def test_wrong_sides_are_refused(entry_with, fields, words):
    with pytest.raises(pytest.UsageError, match=r"thresholds\.toml: threshold 1: ") as caught:
        entry_with(fields)
    assert words in str(caught.value)


LOOSE = '[[threshold]]\nproperty = "efficacy.single"\nmetric = "ES"\nvalue = 0.1\n'


def test_a_looser_threshold_needs_permission_and_is_told(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(LOOSE)
    suite = Thresholds.read(suite_folder() / "thresholds.toml")
    with pytest.raises(pytest.UsageError, match="unless --allow-looser is given"):
        suite.with_own(path)
    loose = suite.with_own(path, allow_looser=True)
    assert loose.find("efficacy.single", "ES", "m", {}).value == 0.1
    (told,) = loose.loosened
    assert told.startswith("threshold loosened: efficacy.single ES 0.1, the suite's is 0.")
    assert suite.loosened == ()


def test_a_users_threshold_decides_over_a_more_specific_one_of_the_suite(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('[[threshold]]\nproperty = "p.q"\nmetric = "ES"\nvalue = 0.9\n')
    fields = {"direction": "min", "unit": "share", "source": "s", "basis": "rounding", "margin": 0.1}
    general = Threshold(property="p.q", metric="ES", value=0.5, **fields)
    eight = Threshold(property="p.q", metric="ES", value=0.7, parameters={"facts": 8}, **fields)
    assert Thresholds([general, eight]).with_own(path).find("p.q", "ES", "m", {"facts": 8}).value == 0.9


def test_a_bound_for_a_dtype_holds_for_weights_of_that_type_only(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('[[threshold]]\nproperty = "p.q"\nmetric = "ES"\nvalue = 0.9\ndtypes = ["bfloat16"]\n')
    fields = {"direction": "min", "unit": "share", "source": "s", "basis": "rounding", "margin": 0.1}
    both = Thresholds([Threshold(property="p.q", metric="ES", value=0.5, **fields)]).with_own(path)
    found = {dtype: both.find("p.q", "ES", "m", {}, dtype=dtype).value for dtype in ("bfloat16", "float32")}
    assert found == {"bfloat16": 0.9, "float32": 0.5}


def test_a_users_file_need_not_name_sides(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('[[threshold]]\nproperty = "efficacy.single"\nmetric = "ES"\nvalue = 1.0\n')
    suite = Thresholds.read(suite_folder() / "thresholds.toml")
    assert suite.with_own(path).find("efficacy.single", "ES", "m", {}).value == 1.0
