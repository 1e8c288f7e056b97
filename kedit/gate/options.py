# SPDX-License-Identifier: Apache-2.0
"""Command-line options of the gate, read and checked before anything is collected."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from kedit.gate.full_options import FullOptions, add_full_options

__all__ = ["GateOptions", "add_options", "read_toml"]

_TIMEOUT = 300.0
# Two hundred edits of a full model take minutes.
_FULL_TIMEOUT = 7200.0


@dataclass(frozen=True, slots=True)
class GateOptions:
    """What the command line asked for.

    Attributes:
        editors: built-in names or `package.module:Attribute`; empty for the default matrix.
        models: tiny model names or folders; empty for the default.
        config: settings for the editors, from `--editor-config`.
        expect: file that replaces the shipped expectations.
        thresholds: file with thresholds of one's own.
        report: folder for the report.
        seed: shifts every draw of facts.
        tables: also compare metric tables when editors are named.
        timeout: seconds that one property test may take; 0 for no limit.
        threads: threads of torch in each process.
        tables_folder: where the tables of the editors are; None for the places of their own.
        write_expectations: file that gets an entry for each failure of this run.
        allow_looser: thresholds of one's own may be looser than the suite's.
        quick: leave out the long properties.
        full: how full models are run; None for a run on tiny ones.
    """

    editors: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    expect: Path | None = None
    thresholds: Path | None = None
    report: Path | None = None
    seed: int = 0
    tables: bool = False
    timeout: float = _TIMEOUT
    threads: int = 1
    tables_folder: Path | None = None
    write_expectations: Path | None = None
    allow_looser: bool = False
    quick: bool = False
    full: FullOptions | None = None

    @property
    def given(self) -> bool:
        """Whether any gate option is on the command line; `-m gpu` alone may be meant for other tests."""
        bare = self.full is None or self.full == FullOptions()
        return not bare or replace(self, full=None, timeout=_TIMEOUT if self.full else self.timeout) != GateOptions()

    def config_of(self, editor: str) -> Mapping[str, Any] | None:
        """The settings of one editor: its own table of the file, or the whole file if it is the only editor."""
        own = self.config.get(editor)
        if isinstance(own, Mapping):
            return own
        return self.config if len(self.editors) == 1 and self.config else None

    @classmethod
    def from_pytest(cls, config: pytest.Config) -> GateOptions:
        """Read the options.

        Raises:
            pytest.UsageError: a repeated editor, an unreadable file, settings that fit no editor, a file where a
                folder should be, or an option without the one that it belongs to.
        """
        editors = tuple(config.getoption("gate_editors"))
        models = tuple(config.getoption("gate_models"))
        for option, names in (("--editor", editors), ("--model", models)):
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise pytest.UsageError(f"{option} {repeated[0]} is given twice; name it once")
        full = FullOptions.from_pytest(config)
        timeout, threads = config.getoption("gate_timeout"), config.getoption("gate_threads")
        if timeout is None:
            timeout = _TIMEOUT if full is None else _FULL_TIMEOUT
        if not 0 <= timeout < math.inf:
            raise pytest.UsageError(f"--editing-timeout {timeout:g}: give seconds, 0 for no limit")
        if threads < 1:
            raise pytest.UsageError(f"--editing-threads {threads}: give at least 1")
        source = config.getoption("gate_config")
        settings = read_toml(Path(source), "--editor-config") if source else {}
        if settings and not editors:
            raise pytest.UsageError("--editor-config needs --editor; name the editor that the settings are for")
        if settings and len(editors) > 1:
            strangers = sorted(set(settings) - set(editors))
            if strangers:
                raise pytest.UsageError(
                    f"--editor-config {source}: {strangers[0]!r} is not one of the editors given; with several "
                    "editors the file has one table for each, named like the editor"
                )
        read = cls(
            editors=editors,
            models=models,
            config=settings,
            expect=_path(config.getoption("gate_expect")),
            thresholds=_path(config.getoption("gate_thresholds")),
            report=_path(config.getoption("gate_report")),
            seed=config.getoption("gate_seed"),
            tables=config.getoption("gate_tables") or bool(config.getoption("gate_tables_folder")),
            tables_folder=_path(config.getoption("gate_tables_folder")),
            write_expectations=_path(config.getoption("gate_write_expectations")),
            allow_looser=config.getoption("gate_allow_looser"),
            quick=config.getoption("gate_quick"),
            full=full,
            timeout=timeout,
            threads=threads,
        )
        read._check()
        return read

    def _check(self) -> None:
        for option, folder in (("--editing-report", self.report), ("--editing-tables-dir", self.tables_folder)):
            if folder is not None and folder.exists() and not folder.is_dir():
                raise pytest.UsageError(f"{option} {folder}: is a file; name a folder")
        if self.allow_looser and self.thresholds is None:
            raise pytest.UsageError("--allow-looser needs --thresholds; name the file with the looser thresholds")
        if self.tables_folder is not None and not self.editors:
            raise pytest.UsageError("--editing-tables-dir needs --editor; name the editor whose tables are there")
        written = self.write_expectations
        if written is None:
            return
        if not self.editors:
            raise pytest.UsageError("--write-expectations needs --editor; name the editor whose failures are written")
        if written.is_dir():
            raise pytest.UsageError(f"--write-expectations {written}: is a folder; name a file")
        if self.expect is not None and written.exists() and not written.samefile(self.expect):
            raise pytest.UsageError(
                f"--write-expectations {written}: is there already, and --expect names another file; give one file "
                "to both, or a new one to --write-expectations"
            )


def add_options(parser: pytest.Parser) -> None:
    """Register the gate's options."""
    group = parser.getgroup("editing", "knowledge-editing gate")
    group.addoption(
        "--editor",
        action="append",
        default=[],
        dest="gate_editors",
        metavar="NAME",
        help="editor to judge: a built-in name or package.module:Attribute (repeatable); only property tests run",
    )
    group.addoption(
        "--editor-config", dest="gate_config", metavar="FILE.toml", help="settings passed to the editor, as TOML"
    )
    group.addoption(
        "--expect",
        dest="gate_expect",
        metavar="FILE.toml",
        help="known failures with reasons; replaces the shipped file of a built-in editor",
    )
    group.addoption(
        "--write-expectations",
        dest="gate_write_expectations",
        metavar="FILE.toml",
        help="write every failure of this run into this file, for --expect; entries that are there keep their reasons",
    )
    group.addoption(
        "--thresholds", dest="gate_thresholds", metavar="FILE.toml", help="thresholds of your own; may only tighten"
    )
    group.addoption(
        "--allow-looser",
        dest="gate_allow_looser",
        action="store_true",
        help="with --thresholds: thresholds may also be looser; the verdict and the reports say which",
    )
    group.addoption(
        "--editing-quick",
        dest="gate_quick",
        action="store_true",
        help="leave out the long properties and, if no model is named, judge on two models; the verdict says so",
    )
    group.addoption(
        "--model",
        action="append",
        default=[],
        dest="gate_models",
        metavar="NAME",
        help="model to judge on: a tiny model's name or a folder (repeatable); default: all tiny models",
    )
    group.addoption(
        "--editing-report",
        dest="gate_report",
        metavar="DIR",
        help="write report.html, report.md and report.json into this folder",
    )
    group.addoption(
        "--editing-seed", dest="gate_seed", type=int, default=0, metavar="N", help="seed of all draws (default 0)"
    )
    group.addoption(
        "--editing-properties",
        dest="gate_properties",
        action="store_true",
        help="print all properties with their tags, sentences and thresholds, and exit",
    )
    group.addoption(
        "--editing-tables",
        dest="gate_tables",
        action="store_true",
        help="with --editor: also compare the metric tables with the stored ones",
    )
    group.addoption(
        "--editing-timeout",
        dest="gate_timeout",
        type=float,
        metavar="SECONDS",
        help=f"time of each property test; one that takes longer has failed (default {_TIMEOUT:g}, with -m gpu "
        f"{_FULL_TIMEOUT:g}; 0 for no limit)",
    )
    group.addoption(
        "--editing-threads",
        dest="gate_threads",
        type=int,
        default=1,
        metavar="N",
        help="threads of torch in each process, to see what they change (default 1)",
    )
    group.addoption(
        "--editing-tables-dir",
        dest="gate_tables_folder",
        metavar="DIR",
        help="like --editing-tables, with the stored tables in this folder (default: the shipped ones for a built-in "
        "editor, editing-snapshots for any other)",
    )
    add_full_options(group)


def read_toml(path: Path, option: str) -> dict[str, Any]:
    """Read a TOML file named on the command line.

    Raises:
        pytest.UsageError: missing or malformed file.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise pytest.UsageError(f"{option} {path}: cannot be read ({error})") from error
    except tomllib.TOMLDecodeError as error:
        raise pytest.UsageError(f"{option} {path}: not valid TOML ({error})") from error


def _path(value: str | None) -> Path | None:
    return Path(value) if value else None
