# SPDX-License-Identifier: Apache-2.0
"""An end for every property test, whatever the editor does.

pytest-timeout raises inside the test when its time is over. An editor that swallows what is raised, or hangs in code
that is not Python, is ended here: a watchdog outside the interpreter writes the stacks to stderr and ends the process.
Under pytest-xdist that is one worker, the controller starts another and reports the property as failed.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import time
from collections.abc import Generator

import pytest

from kedit.gate.selection import NODE

__all__ = ["Deadlines", "overdue"]

# What is left for the test to fail by itself, to be reported and torn down.
_GRACE_SHARE = 0.5
_GRACE_MOST = 30.0


def overdue(seconds: float) -> str:
    """What is said of a test that did not end in time."""
    return f"did not end within {seconds:g} s"


class Deadlines:
    """A pytest plugin of every process that runs tests."""

    def __init__(self, seconds: float) -> None:
        """Every property test gets `seconds`, setup and teardown included; 0 for no limit."""
        self.seconds = seconds
        self._since = 0.0
        try:
            self._stderr = os.dup(sys.stderr.fileno())  # the real one: while tests run it is captured
        except (OSError, ValueError, AttributeError):  # a process without it is ended all the same
            self._stderr = os.open(os.devnull, os.O_WRONLY)

    @property
    def passed(self) -> bool:
        """Whether the time of the test that runs now is over."""
        return self.seconds > 0 and time.monotonic() - self._since >= self.seconds

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Watch over one property test."""
        if NODE not in item.stash or not self.seconds:
            return (yield)
        self._since = time.monotonic()
        most = self.seconds + min(_GRACE_MOST, _GRACE_SHARE * self.seconds)
        faulthandler.dump_traceback_later(most, exit=True, file=self._stderr)
        try:
            return (yield)
        finally:
            faulthandler.cancel_dump_traceback_later()

    def pytest_unconfigure(self) -> None:
        """Close what was opened."""
        os.close(self._stderr)
