# SPDX-License-Identifier: Apache-2.0
"""`kedit gate NAME`: pytest on the installed suite."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

__all__ = ["gate", "gate_command"]


def gate(editor: str, jobs: str, rest: Sequence[str]) -> int:
    """Judge an editor; returns pytest's exit status."""
    return subprocess.run(gate_command(editor, jobs, rest), check=False).returncode


def gate_command(editor: str, jobs: str, rest: Sequence[str]) -> list[str]:
    """The pytest call behind `kedit gate`."""
    call = [sys.executable, "-m", "pytest", "--pyargs", "editing_tests", "-p", "no:cacheprovider"]
    return [*call, "-q", "--editor", editor, "-n", jobs, "--dist", "worksteal", *rest]
