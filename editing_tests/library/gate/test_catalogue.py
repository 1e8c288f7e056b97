# SPDX-License-Identifier: Apache-2.0
"""The catalogue of properties: read from the files, printed on request."""

from __future__ import annotations

import re

import pytest

from kedit.gate.catalogue import catalogue, describe
from kedit.gate.run import suite_folder
from kedit.gate.thresholds import Thresholds

TEST = '''
@pytest.mark.editing_property("some.thing", needs=("batch",), long=True)
def test_one(gate):
    """What must hold, and why it must (a paper, section 1)."""
'''
THRESHOLD = """
[[threshold]]
property = "some.thing"
metric = "share"
value = 0.5
direction = "min"
unit = "share of facts"
source = "measured"
basis = "rounding"
margin = 0.1
parameters = { facts = 2 }
"""


@pytest.fixture
def suite(tmp_path):
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "test_it.py").write_text(TEST, encoding="utf-8")
    (tmp_path / "thresholds.toml").write_text(THRESHOLD, encoding="utf-8")
    return tmp_path


def test_an_entry_has_tags_sentence_source_and_bounds(suite):
    (entry,) = catalogue(suite, Thresholds.read(suite / "thresholds.toml"))
    assert (entry.id, entry.needs, entry.excludes, entry.long) == ("some.thing", ("batch",), (), True)
    assert entry.sources == ("a paper, section 1",)
    assert describe([entry]).splitlines() == [
        "some.thing  [batch; long]",
        "    What must hold, and why it must (a paper, section 1).",
        "    share >= 0.5 (share of facts) [facts=2]",
    ]


def test_a_property_without_a_threshold_is_named(suite):
    (suite / "some" / "test_other.py").write_text(TEST.replace("some.thing", "some.other"), encoding="utf-8")
    with pytest.raises(LookupError, match=r"do not agree on some\.other"):
        catalogue(suite, Thresholds.read(suite / "thresholds.toml"))


def test_the_option_prints_every_property_and_runs_nothing(run):
    result = run("--editing-properties")
    assert result.ret == 0
    printed = re.findall(r"^([\w-]+\.[\w-]+)  \[", result.stdout.str(), flags=re.MULTILINE)
    assert printed == sorted(Thresholds.read(suite_folder() / "thresholds.toml").properties)
    result.stdout.no_fnmatch_line("*collected*")
