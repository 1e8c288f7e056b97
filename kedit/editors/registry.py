# SPDX-License-Identifier: Apache-2.0
"""Editors by name: the built-in ones, and anybody's as `package.module:Attribute`."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from kedit.editors.base import Editor, EditorError, Tags

__all__ = ["BUILT_IN", "BuiltIn", "editor_names", "load_editor", "made"]


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A built-in editor: where it is, who published it (`paper`, `year`), and what its update changes."""

    path: str
    paper: str
    year: int
    changes: str


_MLP = "MLP down-projection"
_MLPS = "MLP down-projections"
BUILT_IN: Mapping[str, BuiltIn] = MappingProxyType(
    {
        "rome": BuiltIn("kedit.editors.rome:Rome", "Meng et al.", 2022, f"one {_MLP}, rank one"),
        "r-rome": BuiltIn("kedit.editors.r_rome:RRome", "Gupta et al.", 2024, f"one {_MLP}, rank one"),
        "memit": BuiltIn("kedit.editors.memit:Memit", "Meng et al.", 2023, f"several {_MLPS}"),
        "memit-merge": BuiltIn("kedit.editors.memit:MemitMerge", "Dong et al.", 2025, f"several {_MLPS}"),
        "pmet": BuiltIn("kedit.editors.pmet:Pmet", "Li et al.", 2024, f"several {_MLPS}"),
        "d4s": BuiltIn("kedit.editors.d4s:D4S", "Huang et al.", 2024, f"several {_MLPS}, rebuilt from the base"),
        "alphaedit": BuiltIn(
            "kedit.editors.alphaedit:AlphaEdit", "Fang et al.", 2025, f"several {_MLPS}, in a null space"
        ),
        "emmet": BuiltIn("kedit.editors.emmet:Emmet", "Gupta et al.", 2024, f"one {_MLP}"),
        "ft": BuiltIn("kedit.editors.fine_tuning:Ft", "Zhu et al.", 2020, f"one {_MLP}"),
        "ft-l": BuiltIn("kedit.editors.fine_tuning:FtL", "Zhu et al.", 2020, f"one {_MLP}, in a ball"),
        "ft-m": BuiltIn("kedit.editors.fine_tuning:FtM", "Zhang et al.", 2024, f"one {_MLP}"),
        "mend": BuiltIn("kedit.editors.mend:Mend", "Mitchell et al.", 2022, "all MLP weights of the last blocks"),
        "kn": BuiltIn("kedit.editors.kn:Kn", "Dai et al.", 2022, f"a few columns of any {_MLPS}"),
        "grace": BuiltIn("kedit.editors.grace:Grace", "Hartvigsen et al.", 2023, "a codebook beside one layer"),
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
        return _checked(_attribute(BUILT_IN[name].path)(**given), name)
    if ":" not in name:
        close = difflib.get_close_matches(name, BUILT_IN, n=1)
        hint = f", did you mean {close[0]!r}?" if close else f"; built in are {', '.join(BUILT_IN)}"
        raise EditorError(f"unknown editor {name!r}{hint} Yours is named as 'package.module:Attribute'")
    return made(_attribute(name), name, given)


def made(found: Any, name: str, config: Mapping[str, Any] | None = None) -> Editor:
    """An editor from a class, a factory or an instance that is called `name`; errors as `load_editor`."""
    given = dict(config or {})
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
