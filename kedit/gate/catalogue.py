# SPDX-License-Identifier: Apache-2.0
"""The catalogue of properties, read from the suite's files without importing them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kedit.gate.selection import PROPERTY
from kedit.gate.thresholds import Threshold, Thresholds

__all__ = ["PropertyEntry", "catalogue", "describe"]


@dataclass(frozen=True, slots=True)
class PropertyEntry:
    """One property of editors; several tests may judge it.

    Attributes:
        id: stable dotted id.
        sentences: what holds and why, one text a test.
        sources: the clauses that the texts name in brackets.
        needs, excludes: tags it applies to and does not apply to.
        long: left out by the quick profile.
        thresholds: its bounds.
    """

    id: str
    sentences: tuple[str, ...]
    sources: tuple[str, ...]
    needs: tuple[str, ...]
    excludes: tuple[str, ...]
    long: bool
    thresholds: tuple[Threshold, ...]


def catalogue(folder: Path, thresholds: Thresholds) -> tuple[PropertyEntry, ...]:
    """All properties of the suite in `folder`, in the order of their ids.

    Raises:
        LookupError: a property without a threshold, or a threshold without a property.
    """
    found: dict[str, list[tuple[ast.FunctionDef, ast.Call]]] = {}
    for function, mark in _marked(folder):
        found.setdefault(ast.literal_eval(mark.args[0]), []).append((function, mark))
    strangers = sorted(thresholds.properties ^ found.keys())
    if strangers:
        raise LookupError(f"thresholds.toml and the tests of {folder} do not agree on {', '.join(strangers)}")
    return tuple(_entry(name, found[name], thresholds) for name in sorted(found))


def describe(entries: Sequence[PropertyEntry]) -> str:
    """The catalogue as `pytest --editing-properties` prints it."""
    lines = []
    for entry in entries:
        tags = [*entry.needs, *(f"not {tag}" for tag in entry.excludes)] or ["any editor"]
        lines += [f"{entry.id}  [{', '.join(tags)}{'; long' if entry.long else ''}]"]
        lines += [f"    {sentence}" for sentence in entry.sentences]
        lines += [f"    {bound(one)}" for one in entry.thresholds]
    return "\n".join(lines) + "\n"


def bound(one: Threshold) -> str:
    """A threshold in one line: metric, bound, unit, where it holds."""
    where = ", ".join([*(f"{name}={value}" for name, value in one.parameters.items()), *one.models])
    sign = ">=" if one.direction == "min" else "<="
    return f"{one.metric} {sign} {one.value:g} ({one.unit})" + (f" [{where}]" if where else "")


def _entry(name: str, tests: Sequence[tuple[ast.FunctionDef, ast.Call]], thresholds: Thresholds) -> PropertyEntry:
    texts = [" ".join((ast.get_docstring(function) or "").split()) for function, _ in tests]
    options = [{word.arg: ast.literal_eval(word.value) for word in mark.keywords} for _, mark in tests]
    needs = set.intersection(*(set(option.get("needs", ())) for option in options))
    excludes = set.intersection(*(set(option.get("excludes", ())) for option in options))
    return PropertyEntry(
        id=name,
        sentences=tuple(texts),
        sources=tuple(source for text in texts for source in re.findall(r"\(([^()]*)\)", text)),
        needs=tuple(sorted(needs)),
        excludes=tuple(sorted(excludes)),
        long=all(option.get("long", False) for option in options),
        thresholds=tuple(one for one in thresholds.entries if one.property == name),
    )


def _marked(folder: Path) -> Iterator[tuple[ast.FunctionDef, ast.Call]]:
    """Test functions of the suite with their markers; `library` holds tests of kedit itself."""
    for path in sorted(folder.glob("*/test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == f"pytest.mark.{PROPERTY}":
                        yield node, mark
