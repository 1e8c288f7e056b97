# SPDX-License-Identifier: Apache-2.0
"""Which properties catch which mutants.

    python -m editing_tests.mutants.matrix [--only NAME ...] [--full] --out FILE.json

runs the gate on every mutant of the catalogue, with the properties it names, or (`--full`) with these and all short
ones. Mutants share a process, where each works on copies of the models; those that leave something behind
(`isolated`) have one of their own. Cells are written as they finish, and a run goes on with what the file lacks. What
caught a mutant is `judged` (a number on the wrong side), `raised` (an error) or `timed out`; properties that hold are
not listed.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from editing_tests.mutants.catalogue import MUTANTS, SURVIVORS, Mutant
from kedit.files import write_atomically
from kedit.gate import capture, differences
from kedit.gate.judging import Node
from kedit.gate.reporting import results_of
from kedit.gate.selection import NODE, PROPERTY

__all__ = ["Cells", "main", "run"]

SCHEMA = 1
EVERY = (*MUTANTS, *SURVIVORS)
# What draws move on, in whichever order the tests come.
RANDOM = ("random state of torch", "random state of Python", "random state of numpy")


@dataclass
class Cells:
    """Mutant -> model -> property -> what caught it, kept in a file."""

    path: Path
    full: bool
    found: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)

    @classmethod
    def at(cls, path: Path, *, full: bool) -> Cells:
        """What the file holds, or nothing yet.

        Raises:
            ValueError: the file is of another kind of run.
        """
        if not path.is_file():
            return cls(path, full)
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.get("schema") != SCHEMA or data.get("full") != full:
            raise ValueError(f"{path} is of another kind of run; delete it or name another file")
        return cls(path, full, data["cells"])

    def add(self, mutant: str, model: str, caught: Mapping[str, str]) -> None:
        """Keep one cell, in the order of the catalogue."""
        self.found.setdefault(mutant, {})[model] = dict(sorted(caught.items()))
        order = {other.name: place for place, other in enumerate(EVERY)}
        self.found = dict(sorted(self.found.items(), key=lambda item: order.get(item[0], len(order))))
        data = {"schema": SCHEMA, "full": self.full, "cells": self.found}
        text = json.dumps(data, indent=1) + "\n"
        write_atomically(self.path, lambda part: part.write_text(text, encoding="utf-8"))


def run(mutants: Sequence[Mutant], cells: Cells, *, alone: bool = False) -> None:
    """Fill the cells of some mutants that are not there yet.

    Args:
        mutants: rows of the catalogue.
        cells: where the results go.
        alone: whether this is the process of an isolated mutant.
    """
    missing = [(m, model) for m in mutants for model in m.models if model not in cells.found.get(m.name, {})]
    together = [pair for pair in missing if alone or not pair[0].isolated]
    if together:
        _judge(together, cells)
    for mutant, model in missing:
        if mutant.isolated and not alone:
            _apart(mutant, model, cells)


class _Chosen:
    """A pytest plugin that keeps the tests of the wanted cells and collects what failed."""

    def __init__(self, pairs: Sequence[tuple[Mutant, str]], cells: Cells) -> None:
        self._wanted = {(mutant.path, model): mutant for mutant, model in pairs}
        self._cells = cells
        self._caught: dict[str, str] = {}
        self._now: tuple[str, str] | None = None
        self._clean: dict[str, dict[str, str]] = {}
        self.left: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if self._is_wanted(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
        items[:] = chosen

    def _is_wanted(self, item: pytest.Item) -> bool:
        node: Node | None = item.stash.get(NODE, None)
        mutant = None if node is None else self._wanted.get((node.editor, node.model))
        if node is None or mutant is None:
            return False
        long = item.get_closest_marker(PROPERTY).kwargs.get("long", False)
        return node.property in mutant.caught_by or (self._cells.full and not long)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        node, base = item.stash[NODE], item.funcargs["gate"].base
        if (node.editor, node.model) == self._now:
            return
        before = self._finish()
        self._now = node.editor, node.model
        found = capture(base)
        left = [name for name in differences(self._clean.setdefault(node.model, found), found) if name not in RANDOM]
        if left:
            self.left.append(f"{before} left something behind ({', '.join(left)}); it must be isolated")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        node = dict(report.user_properties).get("editing")
        if not isinstance(node, dict):
            return
        for result in results_of(report, node):
            if result.status == "failed" and self._caught.get(node["property"]) != "judged":
                self._caught[node["property"]] = "raised" if result.measured is None else "judged"

    def pytest_sessionfinish(self) -> None:
        self._finish()

    def _finish(self) -> str:
        if self._now is None:
            return ""
        mutant = self._wanted[self._now]
        self._cells.add(mutant.name, self._now[1], self._caught)
        self._caught, self._now = {}, None
        return mutant.name


def _judge(pairs: Sequence[tuple[Mutant, str]], cells: Cells) -> None:
    """Run the gate in this process."""
    chosen, said = _Chosen(pairs, cells), io.StringIO()
    editors = [part for path in dict.fromkeys(mutant.path for mutant, _ in pairs) for part in ("--editor", path)]
    models = [part for model in dict.fromkeys(model for _, model in pairs) for part in ("--model", model)]
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(said), redirect_stderr(said):
        nothing = Path(folder) / "nothing.toml"
        nothing.touch()
        options = ["--pyargs", "editing_tests", "-q", "-n", "0", "-p", "no:cacheprovider", "--expect", str(nothing)]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # the gate is imported by now
        status = pytest.main([*options, *editors, *models], plugins=[chosen])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"the gate ended with {status!r}:\n{said.getvalue()[-2000:]}")
    if chosen.left:
        raise RuntimeError("\n".join(chosen.left))


def _apart(mutant: Mutant, model: str, cells: Cells) -> None:
    """Run the gate in a process of its own, which is ended when its time is over."""
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "part.json"
        call = [sys.executable, "-m", "editing_tests.mutants.matrix", "--alone", "--only", mutant.name]
        call += ["--out", str(part), *(["--full"] if cells.full else [])]
        try:
            subprocess.run(call, check=True, capture_output=True, timeout=mutant.seconds, text=True)
        except subprocess.TimeoutExpired:
            cells.add(mutant.name, model, dict.fromkeys(mutant.caught_by, "timed out"))
            return
        except subprocess.CalledProcessError as error:
            raise RuntimeError(
                f"{mutant.name}: the gate ended with {error.returncode}:\n{error.stderr[-2000:]}"
            ) from error
        cells.add(mutant.name, model, Cells.at(part, full=cells.full).found[mutant.name][model])


def main(argv: Sequence[str] | None = None) -> int:
    """Fill a file with cells."""
    parser = argparse.ArgumentParser(prog="python -m editing_tests.mutants.matrix", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = [mutant.name for mutant in EVERY]
    parser.add_argument(
        "--only",
        nargs="+",
        choices=names,
        metavar="NAME",
        help="these mutants (default: all that must be caught; with --full all)",
    )
    parser.add_argument("--full", action="store_true", help="all short properties, not only those a mutant names")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="where the cells are kept")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options: Any = parser.parse_args(argv)
    wanted = options.only or [mutant.name for mutant in (EVERY if options.full else MUTANTS)]
    run([m for m in EVERY if m.name in wanted], Cells.at(options.out, full=options.full), alone=options.alone)
    return 0


if __name__ == "__main__":
    sys.exit(main())
