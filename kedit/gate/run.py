# SPDX-License-Identifier: Apache-2.0
"""What one pytest run of the gate is made of: cases, thresholds, expectations, results."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kedit.datasets.errors import DatasetError
from kedit.editors.base import Editor
from kedit.editors.registry import editor_names, load_editor
from kedit.gate.cases import Case, cases, full_cases
from kedit.gate.expectations import Expectation, read_expectations
from kedit.gate.options import GateOptions
from kedit.gate.thresholds import Thresholds

if TYPE_CHECKING:
    from kedit.gate.candidates import Candidate

__all__ = ["GateRun", "suite_folder"]


class GateRun:
    """Everything that is decided before collection; wrong input ends here in a usage error."""

    def __init__(self, options: GateOptions, folder: Path, given: Mapping[str, Editor] | None = None) -> None:
        """Load and check editors, models, thresholds and expectations.

        Args:
            options: the command line.
            folder: where pytest was started; modules of `--editor` are looked for there too.
            given: editors that are there already, by the name that `options` calls them.

        Raises:
            pytest.UsageError: any of them is wrong.
        """
        self.options = options
        self.used: list[Expectation] = []
        if any(":" in name for name in options.editors) and str(folder) not in sys.path:
            sys.path.append(str(folder))
        ready = given or {}
        self.editors: Mapping[str, Editor] = {
            name: ready[name] if name in ready else _load(name, options.config_of(name))
            for name in options.editors or editor_names()
        }
        self.candidates: tuple[Candidate, ...] = _candidates(options)
        self.cases: tuple[Case, ...] = (
            cases(options, editor_names()) if options.full is None else full_cases(options, self.candidates)
        )
        self.folder = suite_folder()
        self.thresholds = Thresholds.read(self.folder / "thresholds.toml")
        if options.full is not None:
            self.thresholds = self.thresholds.with_real(self.folder / "full_models" / "thresholds.toml")
        if options.thresholds is not None:
            self.thresholds = self.thresholds.with_own(options.thresholds, allow_looser=options.allow_looser)
        self.expectations = self._read_expectations()

    def _read_expectations(self) -> Mapping[str, tuple[Expectation, ...]]:
        """Known failures by editor: the file given, else the one shipped for a built-in editor, else none."""
        path, option = self.options.expect, "--expect"
        if path is None and self.options.write_expectations is not None and self.options.write_expectations.exists():
            path, option = self.options.write_expectations, "--write-expectations"
        self._given = path is not None
        if path is not None:
            return dict.fromkeys(self.editors, read_expectations(path, option, self.thresholds))
        shipped = {name: self.folder / "expectations" / f"{name}.toml" for name in editor_names()}
        return {
            name: read_expectations(shipped[name], "expectations", self.thresholds)
            if name in shipped and shipped[name].is_file()
            else ()
            for name in self.editors
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of a verdict must know: loosened thresholds, and models that were asked for and not there."""
        missing = [f"not judged: {one.name}, {one.missing}" for one in self.candidates if one.missing]
        return (*self.thresholds.loosened, *missing)

    def expected(self, case: Case, property_id: str, parameters: Mapping[str, Any]) -> tuple[Expectation, ...]:
        """The known failures of one test; they count as used."""
        found = tuple(
            entry
            for entry in self._known(case)
            if entry.matches(case.editor, case.model, property_id, parameters)
        )
        self.used.extend(found)
        return found

    def _known(self, case: Case) -> tuple[Expectation, ...]:
        """The known failures of an editor; those found on tiny models do not hold for real ones unless named."""
        entries = self.expectations[case.editor]
        return entries if self._given or not case.real else tuple(entry for entry in entries if entry.models)

    def stale(self) -> tuple[Expectation, ...]:
        """Known failures that concern this run's editors and models and were used by no collected test."""
        models = {case.model for case in self.cases}
        used = {id(entry) for entry in self.used}
        entries = {
            id(entry): entry
            for name, listed in self.expectations.items()
            for entry in listed
            if entry.concerns([name], models) and any(entry in self._known(case) for case in self.cases)
        }
        return tuple(entry for key, entry in entries.items() if key not in used)


def suite_folder() -> Path:
    """The folder of the installed property tests.

    Raises:
        pytest.UsageError: the package editing_tests cannot be found.
    """
    spec = find_spec("editing_tests")
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (Path(place) / "thresholds.toml").is_file():
            return Path(place)
    raise pytest.UsageError("the package editing_tests, which holds the properties, is not installed; install kedit")


def _candidates(options: GateOptions) -> tuple[Candidate, ...]:
    if options.full is None:
        return ()
    from kedit.gate.candidates import candidates  # asks torch for devices, which other runs need not wait for

    if options.full.facts is not None:
        from kedit.gate.sources import whole_facts

        try:
            whole_facts(options.full.facts)
        except DatasetError as error:
            raise pytest.UsageError(f"--facts {error}") from error
    return candidates(options.models, options.full)


def _load(name: str, config: Mapping[str, Any] | None) -> Editor:
    try:
        return load_editor(name, config)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a third party's module may raise anything while it is imported
        reason = " ".join(str(error).split())
        prefix = "" if name in reason else f"{type(error).__name__}: "
        raise pytest.UsageError(f"--editor {name}: {prefix}{reason}") from error
