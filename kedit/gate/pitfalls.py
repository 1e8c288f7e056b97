# SPDX-License-Identifier: Apache-2.0
"""The pitfalls of published editors, as data: what goes wrong, where it was found, and what guards against it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

__all__ = ["Pitfall", "PitfallError", "read_pitfalls"]


class PitfallError(ValueError):
    """A file of pitfalls that cannot be read; the message names the entry and the field."""


@dataclass(frozen=True, slots=True)
class Pitfall:
    """One thing that goes wrong.

    Attributes:
        id: its number.
        says: what goes wrong, as a sentence.
        source: the thread, repository or paper where it was found.
        properties: ids of the properties that see it in any editor.
        tests: tests of kedit that see it in kedit, as `folder/file.py::name`, below `editing_tests`.
        no_code: why kedit has no code in which it could happen; empty if it has.
    """

    id: int
    says: str
    source: str
    properties: tuple[str, ...]
    tests: tuple[str, ...]
    no_code: str = ""


def read_pitfalls(path: Path) -> tuple[Pitfall, ...]:
    """The `[[pitfall]]` entries of a file, in its order.

    Raises:
        PitfallError: a file that is no TOML, a field that is unknown, missing or of another type, a number that stands
            twice, or an entry that is guarded by nothing and does not say why, or does both.
    """
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8")).get("pitfall")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PitfallError(f"{path}: cannot be read ({error})") from error
    if not isinstance(rows, list) or not rows:
        raise PitfallError(f"{path}: has no [[pitfall]] entry")
    found: dict[int, Pitfall] = {}
    for place, row in enumerate(rows, 1):
        one = _entry(row, f"{path}: pitfall {row.get('id', f'at place {place}')}")
        if one.id in found:
            raise PitfallError(f"{path}: pitfall {one.id}: field 'id' stands twice; number each once")
        found[one.id] = one
    return tuple(found.values())


def _entry(row: Mapping[str, Any], where: str) -> Pitfall:
    known = {field.name: field for field in fields(Pitfall)}
    for name in row:
        if name not in known:
            raise PitfallError(f"{where}: unknown field {name!r}; known: {', '.join(known)}")
    for name, field in known.items():
        if name not in row and field.default is MISSING:
            raise PitfallError(f"{where}: field {name!r} is missing")
    if type(row["id"]) is not int:
        raise PitfallError(f"{where}: field 'id' is {row['id']!r}; give a number")
    for name in ("says", "source", "no_code"):
        text = row.get(name)
        if name in row and (not isinstance(text, str) or not text.strip()):
            raise PitfallError(f"{where}: field {name!r} is {text!r}; give a text")
    for name in ("properties", "tests"):
        if not isinstance(row[name], list) or not all(isinstance(text, str) for text in row[name]):
            raise PitfallError(f"{where}: field {name!r} is {row[name]!r}; give a list of texts")
    guarded = bool(row["properties"] or row["tests"])
    if guarded is ("no_code" in row):
        raise PitfallError(
            f"{where}: give what guards against it in 'properties' or 'tests', or say in 'no_code' why kedit has no "
            "code in which it could happen; one of both"
        )
    return Pitfall(**{**row, "properties": tuple(row["properties"]), "tests": tuple(row["tests"])})
