# SPDX-License-Identifier: Apache-2.0
"""All mutants, and the properties that must catch each."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from editing_tests.mutants import (
    history,
    labels,
    memories,
    positions,
    process,
    purity,
    solving,
    statistics,
    updates,
    values,
)

__all__ = ["MUTANTS", "Mutant"]

COMMON = ("tiny-gpt2",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One mutant.

    Attributes:
        editor: the class; the first sentence of its docstring says what is wrong.
        of: the built-in editor it is made of.
        pitfalls: numbers of the pitfalls it stands for, in the notes on algorithms.
        caught_by: ids of the properties that must catch it, each of them.
        models: tiny models on which they must.
        isolated: it changes something that others see, and needs a process of its own.
        raises: it is caught by an error, not by a number.
        seconds: its process is ended after this time; only for an isolated one.
    """

    editor: type[Any]
    of: str
    pitfalls: tuple[int, ...] = ()
    caught_by: tuple[str, ...]
    models: tuple[str, ...] = COMMON
    isolated: bool = False
    raises: bool = False
    seconds: float = 120.0

    @property
    def name(self) -> str:
        """The name of the class."""
        return self.editor.__name__

    @property
    def path(self) -> str:
        """What stands behind `--editor`."""
        return f"{self.editor.__module__}:{self.editor.__qualname__}"

    @property
    def wrong(self) -> str:
        """What is wrong, as a sentence."""
        return " ".join((inspect.getdoc(self.editor) or "").split())


def row(editor: type[Any], *caught_by: str, **more: Any) -> Mutant:
    parents = [base for base in editor.__mro__[1:] if isinstance(getattr(base, "name", None), str)]
    of = more.pop("of", getattr(editor, "of", None) or parents[-1 if parents[0].__name__ == "" else 0].name)
    return Mutant(editor=editor, of=of, caught_by=caught_by, **more)


MUTANTS: tuple[Mutant, ...] = tuple(
    row(
        member,
        models=("tiny-llama",)
        if member.__name__
        in ("IndexWithoutSpecials", "BosInLabels", "LonePieceDropped", "FirstTokenOnly", "AllAtThePrompt", "StaleQuery")
        else COMMON,
        isolated=member.__name__ in ("Hangs", "PaddingSideLeft", "GradientsSwitchedOff"),
        seconds=25.0,
        *member.__dict__.get("caught", ()),
    )
    for module in (positions, labels, values, statistics, solving, history, updates, memories, purity, process)
    for member in vars(module).values()
    if inspect.isclass(member) and member.__module__ == module.__name__ and hasattr(member, "edit")
)
