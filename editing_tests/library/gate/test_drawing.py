# SPDX-License-Identifier: Apache-2.0
"""The profiles of Hypothesis: one by default for the tests of kedit, one on request for any run, none otherwise."""

from __future__ import annotations

import pytest
from hypothesis import settings

from kedit.gate.drawing import register_profiles

ASKED = """
from hypothesis import settings

def test_profile():
    assert settings.get_current_profile_name() == "nightly"
    assert settings.default.max_examples >= 1000 and settings.default.database is not None
    assert not settings.default.derandomize and settings.default.deadline is None
"""
NOT_ASKED = """
import sys

def test_modules():
    assert "kedit.gate.plugin" in sys.modules and "hypothesis" not in sys.modules
"""


def test_the_tests_of_kedit_are_the_same_at_every_run(request: pytest.FixtureRequest) -> None:
    register_profiles()
    profile = settings.get_profile("ci")
    assert profile.derandomize and profile.database is None and profile.deadline is None
    assert profile.max_examples <= 100
    asked = request.config.getoption("--hypothesis-profile", default=None)
    assert settings.get_current_profile_name() == (asked or "ci")


@pytest.mark.parametrize(
    ("text", "arguments"), [(ASKED, ["--hypothesis-profile=nightly"]), (NOT_ASKED, [])], ids=["asked", "not-asked"]
)
def test_nightly_is_known_where_it_is_asked_for(run, pytester, text, arguments):
    pytester.makepyfile(text)
    run(*arguments, apart=True).assert_outcomes(passed=1)
