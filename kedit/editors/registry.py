# SPDX-License-Identifier: Apache-2.0
"""Editors by name: the built-in ones, and anybody's as `package.module:Attribute`."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from kedit.editors.base import Editor, EditorError, Tags

__all__ = ["editor_names", "load_editor"]

BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "rome": "kedit.editors.rome:Rome",
        "memit": "kedit.editors.memit:Memit",
        "memit-merge": "kedit.editors.memit:MemitMerge",
        "d4s": "kedit.editors.d4s:D4S",
        "ft-l": "kedit.editors.ft_l:FtL",
        "kn": "kedit.editors.kn:Kn",
        "grace": "kedit.editors.grace:Grace",
    }
)


def editor_names() -> tuple[str, ...]:
    """The built-in names, in the order of the tables."""
    return tuple(BUILT_IN)


def load_editor(name: str, config: Mapping[str, Any] | None = None) -> Editor:
    """An editor by built-in name or as `package.module:Attribute` (a class, a factory, or an instance).

    Args:
        name: what to load.
        config: settings; keyword arguments for a class or a factory.

    Raises:
        EditorError: one line that says what is wrong with the string, the settings or the object.
    """
    given = dict(config or {})
    if name in BUILT_IN:
        return _checked(_attribute(BUILT_IN[name])(**given), name)
    if ":" not in name:
        close = difflib.get_close_matches(name, BUILT_IN, n=1)
        hint = f", did you mean {close[0]!r}?" if close else f"; built in are {', '.join(BUILT_IN)}"
        raise EditorError(f"unknown editor {name!r}{hint} Yours is named as 'package.module:Attribute'")
    found = _attribute(name)
    if not (inspect.isclass(found) or inspect.isroutine(found)):
        if given:
            raise EditorError(f"{name} is an instance and takes no settings; name its class or a factory instead")
        return _checked(found, name)
    try:
        return _checked(found(**given), name)
    except EditorError:
        raise
    except Exception as error:  # foreign code may raise anything
        raise EditorError(f"{name} could not be made: {type(error).__name__}: {error}") from error


def _attribute(name: str) -> Any:
    module_name, _, path = name.partition(":")
    if not module_name or not path:
        raise EditorError(f"{name!r} is not an editor; expected 'package.module:Attribute'")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # foreign code may raise anything on import
        raise EditorError(f"module {module_name!r} cannot be imported: {type(error).__name__}: {error}") from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise EditorError(f"module {module_name!r} has no attribute {path!r}")
        found = getattr(found, part)
    return found


def _checked(editor: Any, name: str) -> Editor:
    if not isinstance(editor, Editor):
        missing = [part for part in ("name", "tags", "edit") if not hasattr(editor, part)]
        raise EditorError(f"{name} is not an editor: it lacks {', '.join(missing)}; see docs/writing-an-editor.md")
    if not isinstance(editor.tags, Tags):
        raise EditorError(f"{name}: tags is a {type(editor.tags).__name__}, expected kedit.editors.Tags")
    return editor
