# SPDX-License-Identifier: Apache-2.0
"""`--write-expectations`: the failures of a run, written down as known ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kedit.files import write_atomically
from kedit.gate.expectation_files import HEADER, file_text, without_entries
from kedit.gate.expectations import Expectation
from kedit.gate.merging import Outcome, Test, merge

if TYPE_CHECKING:
    from kedit.gate.run import GateRun

__all__ = ["KnownFailures"]


class KnownFailures:
    """A pytest plugin of the controlling process: keeps what each test found and writes the file at the end."""

    def __init__(self, path: Path, run: Callable[[], GateRun]) -> None:
        """Nothing is found yet; `run` is called at the end."""
        self._path = path
        self._run = run
        self._tests: list[Test] = []
        self._outcomes: dict[str, Outcome] = {}
        self._lines: list[str] = []

    def collected(self, nodes: Iterable[Mapping[str, Any]]) -> None:
        """Keep which tests there are, also those that `-k` or a quick run leaves out; every worker tells the same."""
        self._tests = [Test(node["editor"], node["model"], node["property"], node["parameters"]) for node in nodes]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what was measured, or that it crashed."""
        node = dict(report.user_properties).get("editing")
        if not isinstance(node, dict) or (report.skipped and not hasattr(report, "wasxfail")):
            return
        test = Test(node["editor"], node["model"], node["property"], node["parameters"])
        if report.when == "call" and node["judged"]:
            self._outcomes[report.nodeid] = Outcome(test, tuple(row for row in node["rows"] if not _met(row)))
        elif report.failed:
            self._outcomes[report.nodeid] = Outcome(test, crashed=True)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write the file, unless the run was broken off."""
        ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if not ended or not self._tests:  # no worker told which tests there are
            self._lines = [f"{self._path} is not written: the run did not come to its end"]
            return
        run = self._run()
        entries = _entries_of(run)
        models = {case.model for case in run.cases}
        found = merge(entries, list(self._outcomes.values()), self._tests, list(run.editors), models)
        try:
            if self._path.exists():
                before = self._path.read_text(encoding="utf-8")
                dropped = [number for number, entry in enumerate(entries) if entry not in found.kept]
                text = file_text(without_entries(before, dropped), found.new)
            else:
                before, text = None, file_text(HEADER, [*found.kept, *found.new])
        except ValueError as error:
            self._lines = [f"{self._path} is not written: {error}"]
            return
        if text != before:
            write_atomically(self._path, lambda part: part.write_text(text, encoding="utf-8"))
        self._lines = [
            f"{self._path}: {len(found.new)} new, {len(found.kept)} kept, {len(found.dropped)} dropped",
            *(f"new: {entry.property} {entry.metric}: {entry.reason}" for entry in found.new),
            *(f"dropped: {line}" for line in found.dropped),
            *(f"not written: {line}" for line in found.remarks),
        ]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was written, dropped and left out."""
        terminalreporter.section("known failures")
        for line in self._lines:
            terminalreporter.write_line(line)


def _met(row: Mapping[str, Any]) -> bool:
    measured, threshold = row["measured"], row["threshold"]
    return bool(measured >= threshold if row["bound"] == ">=" else measured <= threshold)


def _entries_of(run: GateRun) -> Sequence[Expectation]:
    """The known failures in force, each once; those shipped for one of several editors name their editor."""
    listed = list(run.expectations.items())
    if all(entries is listed[0][1] for _, entries in listed):
        return listed[0][1]
    return [replace(entry, editors=(name,)) for name, entries in listed for entry in entries]
