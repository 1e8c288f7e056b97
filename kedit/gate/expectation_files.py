# SPDX-License-Identifier: Apache-2.0
"""The text of an expectations file: entries written as TOML, and a file in which some entries are replaced."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from collections.abc import Collection, Iterable
from typing import Any

from kedit.gate.expectations import Expectation

__all__ = ["HEADER", "entry_text", "file_text", "without_entries"]

HEADER = """\
# Known failures of an editor, each with its reason; strict: the day one holds, the run is red until it is removed.
"""
_HEAD = re.compile(r"^[ \t]*\[\[[ \t]*expect[ \t]*\]\][ \t]*(?:#.*)?$", re.MULTILINE)


def entry_text(entry: Expectation) -> str:
    """One entry as TOML.

    Raises:
        ValueError: a parameter that TOML has no word for.
    """
    lines = ["[[expect]]", f"property = {_value(entry.property)}"]
    if entry.editors:
        lines.append(f"editors = {_value(list(entry.editors))}")
    if entry.models:
        lines.append(f"models = {_value(list(entry.models))}")
    if entry.parameters:
        pairs = ", ".join(f"{_key(name)} = {_value(value)}" for name, value in entry.parameters.items())
        lines.append(f"parameters = {{ {pairs} }}")
    if entry.metric is not None:
        lines.append(f"metric = {_value(entry.metric)}")
    return "\n".join([*lines, f"reason = {_value(entry.reason)}", ""])


def file_text(start: str, entries: Iterable[Expectation]) -> str:
    """`start` with entries after it."""
    parts = [entry_text(entry) for entry in entries]
    if not parts:
        return start
    return "\n".join([start.rstrip("\n") + "\n", *parts] if start.strip() else parts)


def without_entries(text: str, numbers: Collection[int]) -> str:
    """The text of a file without some of its entries, counted from 0; the others stay as they stand.

    The comment right above an entry goes with it.

    Raises:
        ValueError: the file writes its entries in another way than under `[[expect]]`.
    """
    if not numbers:
        return text
    starts = [_with_comments(text, match.start()) for match in _HEAD.finditer(text)]
    blocks = [text[start:end] for start, end in itertools.pairwise([*starts, len(text)])]
    if [_parsed(block) for block in blocks] != [[row] for row in tomllib.loads(text).get("expect", [])]:
        raise ValueError("its entries do not each stand under [[expect]]; write them so")
    kept = [block for number, block in enumerate(blocks) if number not in numbers]
    return text[: starts[0]] + "".join(kept)


def _with_comments(text: str, start: int) -> int:
    """Where the comment right above a position begins."""
    before = text[:start].splitlines(keepends=True)
    count = 0
    while count < len(before) and before[-1 - count].lstrip().startswith("#"):
        count += 1
    return start - sum(len(line) for line in before[len(before) - count :])


def _parsed(block: str) -> Any:
    try:
        return tomllib.loads(block).get("expect")
    except tomllib.TOMLDecodeError:
        return None


def _value(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    raise ValueError(f"{value!r} cannot be written as TOML")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)
