# SPDX-License-Identifier: Apache-2.0
"""Whatever comes out of a property test is a verdict on the editor, never on the run.

Some exceptions mean something to pytest: KeyboardInterrupt and `pytest.exit` end the run, `pytest.skip` and
`pytest.xfail` make a test count for nothing, and PropertyViolation may be a known failure. Raised by an editor they are
failures like any other.
"""

from __future__ import annotations

import signal
import threading
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType

import pytest

from kedit.gate.judging import PropertyViolation
from kedit.gate.skipping import NotPossibleHere

__all__ = ["as_failure", "interrupts"]

_SKIPS = (pytest.skip.Exception, pytest.xfail.Exception, unittest.SkipTest)
_ENDS = (KeyboardInterrupt, pytest.exit.Exception, PropertyViolation, NotPossibleHere)


def as_failure(error: BaseException, test_file: Path) -> BaseException:
    """The error itself where it is one for pytest too or the test file raised it, else a RuntimeError in its place.

    Args:
        error: what came out of a test's body, before the judge had its say.
        test_file: a test may skip itself.
    """
    if isinstance(error, _ENDS) or (isinstance(error, _SKIPS) and _origin(error.__traceback__) != test_file):
        kind = type(error).__name__
        return RuntimeError(f"the editor raised {kind}: {error}").with_traceback(error.__traceback__)
    return error


def _origin(traceback: TracebackType | None) -> Path | None:
    """The file that raised, pytest's own functions for it left aside."""
    found = None
    while traceback is not None:
        if not str(traceback.tb_frame.f_globals.get("__name__", "")).startswith("_pytest."):
            found = Path(traceback.tb_frame.f_code.co_filename)
        traceback = traceback.tb_next
    return found


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """The interrupts (Ctrl-C) of the user that arrive meanwhile; they do what they did before."""
    seen: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield seen
        return

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)
