# SPDX-License-Identifier: Apache-2.0
"""`kedit gate diff OLD NEW`: what got worse between two reports."""

from __future__ import annotations

import importlib
import sys
from argparse import Namespace
from pathlib import Path

__all__ = ["run"]


def run(options: Namespace) -> int:
    """Print the comparison; returns 0 for nothing worse, 1 for something worse, 2 for wrong files."""
    try:
        found = importlib.import_module("kedit.gate.comparing").compare(Path(options.old), Path(options.new))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"kedit: {' '.join(str(error).split())}\n")
        return 2
    sys.stdout.write("".join(f"{line}\n" for line in found.lines))
    return 1 if found.worse else 0
