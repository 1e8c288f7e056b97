# SPDX-License-Identifier: Apache-2.0
"""The profile that tests of kedit draw with, unless the command line names another, and interrupts that reach them."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from kedit.gate.drawing import PROFILE_OPTION, register_profiles


def pytest_configure(config: pytest.Config) -> None:
    """Load the profile before the first test module is imported; this file comes before them."""
    register_profiles()
    if not config.getoption(PROFILE_OPTION, default=None):
        settings.load_profile("ci")


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    # A shell starts what it puts into the background with SIGINT ignored, and Python then leaves it so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
