# SPDX-License-Identifier: Apache-2.0
"""The gate as a function: the same suite and the same rows as on the command line, in a notebook or in a test."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import pytest

from kedit.editors.base import Editor
from kedit.editors.registry import load_editor, made
from kedit.gate.judging import PropertyViolation
from kedit.gate.nested import run_pytest, undisturbed
from kedit.gate.plugin import GIVEN
from kedit.gate.reporting import results_of
from kedit.gate.results import Result, line, sort_key, verdict
from kedit.gate.run import suite_folder
from kedit.gate.selection import NODE
from kedit.gate.thresholds import Thresholds

__all__ = ["Checked", "check_editor"]


class Checked(list[Result]):
    """The rows of a check, in the order of reports; as text one line a row and the verdict.

    Attributes:
        verdict: accepted, accepted with known failures, or rejected and by what.
    """

    def __init__(self, rows: Iterable[Result], verdict: str) -> None:
        """Rows and the verdict over them."""
        super().__init__(rows)
        self.verdict = verdict

    @property
    def failed(self) -> list[Result]:
        """The rows that reject the editor."""
        return [row for row in self if row.status == "failed"]

    def __str__(self) -> str:
        return "\n".join([*map(line, self), self.verdict])


def check_editor(
    editor: Editor | type | str,
    *,
    model: str | Path = "tiny-gpt2",
    properties: str | Sequence[str] | None = None,
    on_fail: Literal["raise", "report"] = "raise",
    expect: str | Path | None = None,
    seed: int = 0,
    config: Mapping[str, Any] | None = None,
    quick: bool = False,
) -> Checked:
    """Judge an editor as `kedit gate` does, in this process and without output.

    Nothing of the process is changed but that modules stay imported. Known failures of a built-in editor are those
    shipped for it when it is given by its name; a class or an instance is judged without them.

    Args:
        editor: an instance, a class, a factory, a built-in name or `package.module:Attribute`.
        model: a tiny model's name or a folder in Hugging Face format.
        properties: ids or patterns such as `contract.*`; all if None.
        on_fail: "raise", or "report" for rows only.
        expect: file of known failures.
        seed: of all draws.
        config: settings, the keyword arguments of a class or a factory.
        quick: leave the long properties out.

    Returns:
        The rows; `print` shows them with the verdict.

    Raises:
        PropertyViolation: the editor is rejected and `on_fail` is "raise"; with the lines of all failed rows.
        ValueError: an unknown property, editor, model or setting, or a wrong file; the message says which.
        RuntimeError: the run itself failed.
    """
    if on_fail not in ("raise", "report"):
        raise ValueError(f"on_fail is 'raise' or 'report', not {on_fail!r}")
    folder = suite_folder()
    known = Thresholds.read(folder / "thresholds.toml").properties
    wanted = _wanted(properties, known)
    with undisturbed():
        if str(Path.cwd()) not in sys.path:  # where the command line looks too
            sys.path.append(str(Path.cwd()))
        name = editor if isinstance(editor, str) else _name_of(editor)
        given = load_editor(name, config) if isinstance(editor, str) else made(editor, name, config)
        check = _Check({name: given}, wanted)
        args = ["--editor", name, "--model", str(model), f"--editing-seed={seed}"]
        args += [f"--expect={expect}"] if expect is not None else []
        ran = run_pytest(folder, [*args, *(["--editing-quick"] if quick else [])], check)
    if check.interrupted:
        raise KeyboardInterrupt
    if ran.status == pytest.ExitCode.USAGE_ERROR:
        raise ValueError(ran.message)
    if ran.status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"the gate did not come to its end:\n{ran.message}")
    rows = sorted(check.rows, key=sort_key)
    found = Checked(rows, verdict(name, rows, known, quick=quick))
    if found.failed and on_fail == "raise":
        raise PropertyViolation("\n".join([*map(line, found.failed), found.verdict]))
    return found


class _Check:
    """A plugin that gives the editor, keeps only the wanted properties, and keeps their rows."""

    def __init__(self, editors: Mapping[str, Editor], wanted: frozenset[str]) -> None:
        self.__name__ = GIVEN  # how pytest calls the plugin
        self.editors = editors
        self.wanted = wanted
        self.rows: list[Result] = []
        self.interrupted = False

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if NODE in item.stash and item.stash[NODE].property in self.wanted]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        node = dict(report.user_properties).get("editing")
        if isinstance(node, dict):
            self.rows += results_of(report, node)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.interrupted = excinfo.type is KeyboardInterrupt


def _name_of(editor: object) -> str:
    """What the command line would call it."""
    kind = editor if inspect.isclass(editor) or inspect.isroutine(editor) else type(editor)
    return f"{kind.__module__}:{kind.__qualname__}"


def _wanted(properties: str | Sequence[str] | None, known: frozenset[str]) -> frozenset[str]:
    """The ids that the patterns name.

    Raises:
        ValueError: a pattern that names none.
    """
    if properties is None:
        return known
    patterns = [properties] if isinstance(properties, str) else list(properties)
    found: set[str] = set()
    for pattern in patterns:
        matching = {one for one in known if fnmatchcase(one, pattern)}
        if not matching:
            near = difflib.get_close_matches(pattern, sorted(known), n=3, cutoff=0.4)
            hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(sorted(known))}"
            raise ValueError(f"no property is called {pattern!r}; {hint}")
        found |= matching
    if not found:
        raise ValueError("properties is empty; name some, or leave it out for all")
    return frozenset(found)
