# SPDX-License-Identifier: Apache-2.0
"""One function of the pipeline in another's place, for the time of one `edit`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from pkgutil import resolve_name
from typing import Any
from unittest.mock import patch

from kedit.editors import load_editor
from kedit.facts import Fact
from kedit.models.language_model import LanguageModel
from kedit.updates import Update

__all__ = ["Patched", "Wrapped"]


class Patched:
    """A mixin, before the editor: while `edit` runs, every function named in `wrong` is replaced.

    Attributes:
        wrong: where a function is looked up, dotted, and what is called instead, with the right function first and then
            its arguments. Nothing that `LanguageModel.derived` remembers may pass through it, because copies of
            the model share that.
    """

    wrong: tuple[tuple[str, Callable[..., Any]], ...] = ()

    def edit(self, model: LanguageModel, facts: list[Fact], state: Any = None) -> tuple[Update, Any]:
        with ExitStack() as stack:
            for target, wrong in self.wrong:
                stack.enter_context(patch(target, _called_with(resolve_name(target), wrong)))
            return super().edit(model, facts, state)


class Wrapped:
    """An editor that asks a built-in one, `of`, and spoils what goes in or comes out; it looks like that one."""

    of = "memit"

    def __init__(self, **settings: Any) -> None:
        self.right = load_editor(self.of, settings)
        self.name, self.tags = self.right.name, self.right.tags

    def edit(self, model: LanguageModel, facts: list[Fact], state: Any = None) -> tuple[Update, Any]:
        return self.right.edit(model, facts, state)


def _called_with(right: Callable[..., Any], wrong: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(right)
    def called(*args: Any, **kwargs: Any) -> Any:
        return wrong(right, *args, **kwargs)

    return called
