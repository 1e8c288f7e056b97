# SPDX-License-Identifier: Apache-2.0
"""What an edit does besides computing: calls into the network, and numbers that it keeps."""

from __future__ import annotations

import gc
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

__all__ = ["Network", "live_numbers"]

_LOOKUPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo")
_CONNECTIONS = ("socket.connect", "socket.sendto", "socket.sendmsg")
_LOCAL = getattr(socket, "AF_UNIX", None)


class Network:
    """Refuses the network while it is asked to, by the interpreter's audit events.

    All of Python's sockets are seen, whatever library uses them; sockets of native code and of other processes are not.
    """

    def __init__(self) -> None:
        """Make one for a process: what listens to audit events cannot be taken out again."""
        self._calls: list[str] | None = None
        sys.addaudithook(self._audit)

    @contextmanager
    def refused(self) -> Iterator[list[str]]:
        """Refuse every name lookup, connection and datagram meanwhile; yields a growing list of what was tried."""
        calls: list[str] = []
        self._calls = calls
        try:
            yield calls
        finally:
            self._calls = None

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if self._calls is None or not event.startswith("socket."):
            return
        if event in _LOOKUPS:
            tried = str(args[0])
        elif event in _CONNECTIONS and args[0].family != _LOCAL and args[1] is not None:
            tried = str(args[1])
        else:
            return
        self._calls.append(f"{event.removeprefix('socket.')} {tried}")
        raise ConnectionRefusedError(f"{self._calls[-1]}: an edit has no network")


def live_numbers() -> int:
    """Number of elements of all tensors that Python code still holds, those held since before `gc.freeze` left out."""
    gc.collect()
    # By its type: asking an object for its class may make a lazy one import its module.
    return sum(one.numel() for one in gc.get_objects() if issubclass(type(one), Tensor))
