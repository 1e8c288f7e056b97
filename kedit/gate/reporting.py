# SPDX-License-Identifier: Apache-2.0
"""Collects rows from test reports; prints them and the verdict, and writes the report files."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kedit.gate.crashes import Crashes
from kedit.gate.options import GateOptions
from kedit.gate.results import Result, Status, line, place, sort_key, verdict
from kedit.gate.selection import FULL_MODEL

if TYPE_CHECKING:
    from kedit.gate.report import Report
    from kedit.gate.run import GateRun

__all__ = ["GateReporter", "results_of"]


class GateReporter:
    """A pytest plugin of the controlling process only."""

    def __init__(self, options: GateOptions, run: Callable[[], GateRun], crashes: Crashes) -> None:
        """Nothing is reported yet; `run` is called only if there is something to report."""
        self._options = options
        self._run = run
        self._crashes = crashes
        self._results: dict[str, list[Result]] = {}
        self._nodes: dict[str, list[Mapping[str, Any]]] = {}
        self._strays: list[str] = []
        self._looked = False

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Note that full models could have been looked at."""
        self._looked = self._looked or any(item.get_closest_marker(FULL_MODEL) for item in items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the rows of every finished property test, and the names of other failures."""
        node = dict(report.user_properties).get("editing")
        self._looked = self._looked or isinstance(node, dict) or FULL_MODEL in report.keywords
        if isinstance(node, dict):
            self._results.setdefault(node["editor"], []).extend(results_of(report, node))
            if report.when == "call" or (report.when == "setup" and report.outcome != "passed"):
                self._nodes.setdefault(node["editor"], []).append(node)
        elif report.failed and report.nodeid not in self._crashes:
            self._strays.append(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """One line a row, if editors were named or -v was given."""
        self._settle()
        if self._options.full is not None and self._looked:
            terminalreporter.section("full models")
            for one in self._run().candidates:
                told = f"not judged: {one.missing}" if one.missing else f"{one.dtype} on {self._options.full.device}"
                terminalreporter.write_line(f"{one.name}  {told}", cyan=bool(one.missing))
        verbose = terminalreporter.verbosity > 0
        if not self._results or not (self._options.editors or verbose):
            return
        terminalreporter.section("editing properties")
        for editor, results in self._ordered():
            terminalreporter.write_line(editor, bold=True)
            for result in results:
                colour = {_COLOURS[result.status]: True}
                terminalreporter.write_line(line(result), **colour)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Write the report, and the verdict as the last line of all."""
        result = yield
        self._settle()
        full = self._options.full
        if full is not None and full.require and self._looked and any(one.missing for one in self._run().candidates):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED  # whatever else was chosen
        if not self._results:
            return result
        run = self._run()
        if self._options.report is not None:
            from kedit.gate.report_files import write_reports

            write_reports(self._options.report, [self._report(name, rows, run) for name, rows in self._ordered()])
        terminal = session.config.pluginmanager.get_plugin("terminalreporter")
        if isinstance(terminal, pytest.TerminalReporter):
            for editor, results in self._ordered():
                terminal.write_line(self._verdict(editor, results, run))
            if self._strays and self._options.editors:
                terminal.write_line(f"failed beside the properties: {', '.join(sorted(set(self._strays)))}", red=True)
        return result

    def _settle(self) -> None:
        """Add a row for each test whose process died."""
        for crash, node in self._crashes.take():
            if node is None:
                self._strays.append(crash.nodeid)
            else:
                row = _bare(node, "failed", crash.reason, crash.seconds)
                self._results.setdefault(node["editor"], []).append(row)

    def _verdict(self, editor: str, results: list[Result], run: GateRun) -> str:
        return verdict(editor, results, run.thresholds.properties, quick=self._options.quick, notes=run.notes)

    def _report(self, editor: str, results: list[Result], run: GateRun) -> Report:
        """The report on one editor, the same however its tests were spread over workers."""
        from kedit.gate.report import Report, Series, plain

        nodes = sorted(
            self._nodes.get(editor, ()), key=lambda node: place(node["property"], node["model"], node["parameters"])
        )
        models: dict[str, Mapping[str, str]] = {}
        about: dict[str, dict[str, None]] = {}
        for node in nodes:
            models[node["model"]] = models.get(node["model"]) or node["unedited"]
            about.setdefault(node["property"], {})[node["about"]] = None
        series = [
            Series(one["name"], node["property"], node["model"], node["parameters"], plain(one["data"]))
            for node in nodes
            for one in node["series"]
        ]
        tags = asdict(run.editors[editor].tags)
        return Report(
            editor=editor,
            verdict=self._verdict(editor, results, run),
            results=tuple(results),
            series=tuple(series),
            models=models,
            about={name: tuple(texts) for name, texts in about.items()},
            tags=tuple(name for name, given in tags.items() if given),
            settings=self._options.config_of(editor) or {},
            seed=self._options.seed,
            notes=run.notes,
        )

    def _ordered(self) -> Iterator[tuple[str, list[Result]]]:
        for editor in sorted(self._results):
            yield editor, sorted(self._results[editor], key=sort_key)


_COLOURS: Mapping[Status, str] = {"passed": "green", "failed": "red", "xfailed": "yellow", "skipped": "cyan"}


def results_of(report: pytest.TestReport, node: Mapping[str, Any]) -> list[Result]:
    """The rows of one phase of a property test: judged numbers, or the reason why there are none."""
    results = []
    if report.when == "call":
        results = [_row(node, row) for row in node["rows"]]
    if report.skipped and not hasattr(report, "wasxfail"):
        return [*results, _bare(node, "skipped", _skip_reason(report), report.duration)]
    if report.failed and not any(result.status == "failed" for result in results if node["judged"]):
        return [*results, _bare(node, "failed", _crash_reason(report, node["ended"]), report.duration)]
    return results


def _row(node: Mapping[str, Any], row: Mapping[str, Any]) -> Result:
    return Result(property=node["property"], model=node["model"], **row)


def _bare(node: Mapping[str, Any], status: Status, reason: str, seconds: float) -> Result:
    return Result(
        property=node["property"],
        model=node["model"],
        parameters=dict(node["parameters"]),
        measured=None,
        threshold=None,
        status=status,
        reason=reason,
        seconds=round(seconds, 4),
    )


def _skip_reason(report: pytest.TestReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple | list) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def _crash_reason(report: pytest.TestReport, ended: str) -> str:
    """What was raised and where, or in its place why the test `ended`."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr)
    where = f" ({Path(crash.path).name}:{crash.lineno})" if crash is not None else ""
    return (ended or f"{report.when}: {text.strip().splitlines()[0] if text.strip() else 'no message'}") + where
