# SPDX-License-Identifier: Apache-2.0
"""Property tests whose worker died: which they were, and why.

pytest-xdist reports a dead worker by the name of its test. What a test is about is known to the workers, each of which
tells it when it ends; so the rows of dead ones are made when all have ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from kedit.gate.deadlines import overdue
from kedit.gate.judging import Node

__all__ = ["Crash", "Crashes", "tell_nodes"]

_NODES = "editing_nodes"


def tell_nodes(config: pytest.Config, nodes: Mapping[str, Node]) -> None:
    """In a worker: let the controller know what the tests of these names are about."""
    output: dict[str, Any] = getattr(config, "workeroutput", {})
    output[_NODES] = {name: node.as_data() for name, node in nodes.items()}


@dataclass(frozen=True, slots=True)
class Crash:
    """One test that took its worker with it.

    Attributes:
        nodeid: the test.
        reason: why its process ended.
        seconds: how long it ran.
    """

    nodeid: str
    reason: str
    seconds: float


class Crashes:
    """A pytest plugin of the controlling process."""

    def __init__(self, timeout: float) -> None:
        """Nothing has crashed yet; `timeout` is the time of each test in seconds, 0 for no limit."""
        self._timeout = timeout
        self._since: dict[str, float] = {}
        self._nodes: dict[str, Mapping[str, Any]] = {}
        self._found: set[str] = set()
        self._untold: list[Crash] = []

    def __contains__(self, nodeid: str) -> bool:
        return nodeid in self._found

    def take(self) -> Iterator[tuple[Crash, Mapping[str, Any] | None]]:
        """Each crash once, with what its test is about; None where no worker came to its end."""
        while self._untold:
            crash = self._untold.pop(0)
            yield crash, self._nodes.get(crash.nodeid)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Start the clock of a test."""
        self._since[nodeid] = time.monotonic()

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str) -> None:
        """Note a test whose worker died: ended by the watchdog, or by itself."""
        now = time.monotonic()
        seconds = now - self._since.get(crashitem, now)
        late = 0 < self._timeout <= seconds
        self._found.add(crashitem)
        self._untold.append(Crash(crashitem, overdue(self._timeout) if late else "the process died", seconds))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Learn from a worker that came to its end."""
        self._nodes.update(getattr(node, "workeroutput", {}).get(_NODES, {}))
