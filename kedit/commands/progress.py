# SPDX-License-Identifier: Apache-2.0
"""How far a command is, on stderr."""

from __future__ import annotations

import sys
import time

__all__ = ["Progress"]

_EVERY = 30.0  # seconds between lines


class Progress:
    """Says how many of what are done, now and then, and how long the rest will take at the speed so far."""

    def __init__(self, what: str, every: float = _EVERY) -> None:
        """Start the clock; `what` is counted, and a line comes after `every` seconds at the earliest."""
        self._what, self._every = what, every
        self._begin = self._told = time.monotonic()

    def tell(self, done: int, of: int) -> None:
        """`done` are done."""
        now = time.monotonic()
        if now - self._told >= self._every and 0 < done < of:
            self._told = now
            left = round((now - self._begin) * (of - done) / done)
            clock = f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}"
            sys.stderr.write(f"{done}/{of} {self._what}, {clock} left\n")
            sys.stderr.flush()
