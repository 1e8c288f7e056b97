# SPDX-License-Identifier: Apache-2.0
"""The profile that tests of kedit draw with, unless the command line names another."""

from __future__ import annotations

import pytest
from hypothesis import settings

from kedit.gate.drawing import PROFILE_OPTION, register_profiles


def pytest_configure(config: pytest.Config) -> None:
    """Load the profile before the first test module is imported; this file comes before them."""
    register_profiles()
    if not config.getoption(PROFILE_OPTION, default=None):
        settings.load_profile("ci")
