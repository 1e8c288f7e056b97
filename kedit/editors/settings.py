# SPDX-License-Identifier: Apache-2.0
"""Settings of editors: frozen dataclasses, built from plain data, completed from presets.

A preset is chosen by what the model is (family, blocks, sizes), never by its name. A field that is None is taken from
the preset; what the caller gives wins.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Mapping
from importlib import resources
from typing import Any, TypeVar

from kedit.editors.base import EditorError
from kedit.models.language_model import LanguageModel

__all__ = ["build", "completed", "plain"]

T = TypeVar("T")
MATCH = ("family", "blocks", "d", "f")


def build(cls: type[T], given: Mapping[str, Any], *, where: str) -> T:
    """An instance of a settings dataclass from plain data, every key and type checked.

    Raises:
        EditorError: unknown key, wrong type, or a choice outside its list.
    """
    hints = typing.get_type_hints(cls)
    fields = {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for name in given:
        if name not in fields:
            close = difflib.get_close_matches(name, fields, n=1)
            hint = f", did you mean {close[0]!r}?" if close else f"; it has {', '.join(sorted(fields))}"
            raise EditorError(f"{where} has no setting {name!r}{hint}")
    return cls(**{name: _value(fields[name], value, f"{where}: {name}") for name, value in given.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return _value(inner, value, where)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else build(hint, _mapping(value, where), where=where)
    if origin is typing.Literal:
        if value not in arguments:
            raise EditorError(f"{where} is {value!r}, expected one of {', '.join(map(repr, arguments))}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise EditorError(f"{where} is {value!r}, expected a list")
        return tuple(_value(arguments[0], item, where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise EditorError(f"{where} is {value!r}, expected {hint.__name__}")
    return value


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise EditorError(f"{where} is {value!r}, expected a table")
    return value


def completed(editor: T, model: LanguageModel, *, name: str) -> T:
    """The editor with every None field filled from the preset for this kind of model.

    Raises:
        EditorError: a field is None and no preset has it.
    """
    open_fields = [f.name for f in dataclasses.fields(editor) if getattr(editor, f.name) is None]  # type: ignore[arg-type]
    if not open_fields:
        return editor
    signature = {"family": model.architecture.family, "blocks": model.n_blocks, "d": model.d, "f": model.f}
    row = next((row for row in _presets(name) if all(row[key] == signature[key] for key in MATCH if key in row)), None)
    missing = [field for field in open_fields if row is None or field not in row]
    if row is None or missing:
        kind = ", ".join(f"{key} {value}" for key, value in signature.items())
        raise EditorError(
            f"{name} has no preset for a model with {kind}; give {', '.join(missing)} in its settings "
            "(--editor-config FILE.toml)"
        )
    hints = typing.get_type_hints(type(editor))
    filled = {field: _value(hints[field], row[field], f"preset of {name}: {field}") for field in open_fields}
    return dataclasses.replace(editor, **filled)  # type: ignore[type-var]


def _presets(name: str) -> list[dict[str, Any]]:
    file = resources.files("kedit.editors") / "presets" / f"{name}.toml"
    if not file.is_file():
        return []
    rows = tomllib.loads(file.read_text(encoding="utf-8")).get("preset", [])
    return list(rows)


def plain(editor: Any) -> dict[str, Any]:
    """The settings as plain data, for records."""
    return dataclasses.asdict(editor)
