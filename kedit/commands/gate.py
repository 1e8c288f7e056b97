# SPDX-License-Identifier: Apache-2.0
"""`kedit gate NAME`: pytest on the installed suite."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Sequence

from kedit.gate.full_options import asks_for_full_models

__all__ = ["gate", "gate_command"]


def gate(editor: str, jobs: str | None, rest: Sequence[str]) -> int:
    """Judge an editor; returns pytest's exit status."""
    return subprocess.run(gate_command(editor, jobs, rest), check=False).returncode


def gate_command(editor: str, jobs: str | None, rest: Sequence[str]) -> list[str]:
    """The pytest call behind `kedit gate`: unless told otherwise two processes, on full models one, which has a device
    to itself."""
    if jobs is None:
        chosen = [after for option, after in itertools.pairwise(rest) if option == "-m"]
        jobs = "0" if any(map(asks_for_full_models, chosen)) else "2"
    call = [sys.executable, "-m", "pytest", "--pyargs", "editing_tests", "-p", "no:cacheprovider"]
    return [*call, "-q", "--editor", editor, "-n", jobs, "--dist", "worksteal", *rest]
