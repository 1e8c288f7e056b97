# SPDX-License-Identifier: Apache-2.0
"""The command line: `kedit gate NAME`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

__all__ = ["main"]

_GATE = """\
Judge an editor: run the property tests and print every measured number, its threshold and the verdict.
Everything that is not an option of this command goes to pytest, e.g. `kedit gate memit --model tiny-gpt2 -k efficacy`.
The exit status is pytest's: 0 accepted, 1 rejected, 4 wrong usage.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="kedit", description="Knowledge editing, and a gate for editors.")
    commands = parser.add_subparsers(dest="command", required=True)
    gate = commands.add_parser(
        "gate", help="judge an editor", description=_GATE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    gate.add_argument("editor", metavar="NAME", help="built-in name or package.module:Attribute")
    gate.add_argument("--jobs", "-n", default="2", metavar="N", help="processes, as pytest -n (default 2; 0 for none)")
    options, rest = parser.parse_known_args(argv)
    return subprocess.run(gate_command(options.editor, options.jobs, rest), check=False).returncode


def gate_command(editor: str, jobs: str, rest: Sequence[str]) -> list[str]:
    """The pytest call behind `kedit gate`."""
    call = [sys.executable, "-m", "pytest", "--pyargs", "editing_tests", "-p", "no:cacheprovider"]
    return [*call, "-q", "--editor", editor, "-n", jobs, "--dist", "worksteal", *rest]


if __name__ == "__main__":
    sys.exit(main())
