# SPDX-License-Identifier: Apache-2.0
"""How to make an editor again: its name and the settings it was given."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kedit.editors.base import Editor, EditorError
from kedit.editors.registry import editor_names, load_editor
from kedit.sessions.codec import Encoder
from kedit.sessions.errors import SessionError

__all__ = ["Recipe", "package_of", "recipe_of"]


@dataclass(frozen=True)
class Recipe:
    """An editor as `load_editor` makes it.

    Attributes:
        name: built-in name or `package.module:Attribute`.
        settings: what it was given; None if that cannot be known.
    """

    name: str
    settings: Mapping[str, Any] | None

    @property
    def built_in(self) -> bool:
        """Whether kedit has an editor of this name."""
        return self.name in editor_names()

    @property
    def package(self) -> str:
        """The top-level package of an editor of somebody else, or `kedit`."""
        return self.name.partition(":")[0].split(".")[0] if ":" in self.name else "kedit"

    def make(self) -> Editor:
        """The editor; of somebody else's only a class with `edit`, so that a file cannot name a function to call.

        Raises:
            SessionError: it cannot be made from what was stored.
        """
        mend = "make it yourself and pass it: EditSession.load(path, model, editor=...)"
        if self.settings is None:
            raise SessionError(f"the settings of {self.name} are not known to its session; {mend}")
        try:
            if not self.built_in and not hasattr(pkgutil.resolve_name(self.name), "edit"):
                raise SessionError(
                    f"{self.name} is a function that makes an editor and is not called by a load; {mend}"
                )
            return load_editor(self.name, self.settings)
        except (EditorError, ImportError, AttributeError, ValueError) as error:
            if isinstance(error, SessionError):
                raise
            raise SessionError(f"the editor of the session cannot be made again: {error}; or {mend}") from error

    def check(self, given: Recipe, session: str) -> None:
        """Raises SessionError if `given` is another editor, or has other settings, than that of the session."""
        if (self.name, _told(self)) != (given.name, _told(given)):
            raise SessionError(
                f"the session {session} was made with {self.name} {dict(self.settings or {})} and not with "
                f"{given.name} {dict(given.settings or {})}; go on with that editor, or start a new session"
            )


def _told(recipe: Recipe) -> Any:
    return None if recipe.settings is None else Encoder().encode(dict(recipe.settings), "the editor's settings")


def package_of(editor: Editor) -> str:
    """The top-level package that an editor is defined in."""
    return type(editor).__module__.split(".")[0]


def recipe_of(editor: Editor) -> Recipe:
    """The recipe of an editor that somebody made.

    Editors keep what they were given as `_given`; of one that does not, the settings are known if its class takes none.
    """
    kind = type(editor)
    name = editor.name if _is_built_in(editor) else f"{kind.__module__}:{kind.__qualname__}"
    given = getattr(editor, "_given", None)
    if isinstance(given, Mapping):
        return Recipe(name, dict(given))
    return Recipe(name, None if inspect.signature(kind).parameters else {})


def _is_built_in(editor: Editor) -> bool:
    try:
        return editor.name in editor_names() and type(load_editor(editor.name)) is type(editor)
    except EditorError:  # one that cannot be made without settings; its class is named instead
        return False
