# SPDX-License-Identifier: Apache-2.0
"""Fields of records, checked as they are read; every error says which field, what it is and what was expected."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kedit.datasets.errors import DatasetError
from kedit.facts import Fact, FactError, Prompt, check_facts

__all__ = ["TEXT_LIMIT", "Node", "checked", "shown"]

TEXT_LIMIT = 100_000
"""Characters of the longest text that a field may hold."""
_SHOWN = 80
_HALVES = re.compile("[\ud800-\udfff]")  # JSON can name them, no tokenizer takes them


@dataclass(frozen=True, slots=True)
class Node:
    """An object of a record, and the path to it from the record.

    Blanks at the ends of subjects and objects, and at the end of prompts, are taken away: an object is joined to its
    prompt after one space. A field that is null counts as left out.
    """

    values: Mapping[str, Any]
    path: str = ""

    def label(self, name: str) -> str:
        """How messages call a field."""
        return f"field '{self.path}{name}'"

    def has(self, name: str) -> bool:
        """Whether the field is there."""
        return self.values.get(name) is not None

    def value(self, name: str, expected: str) -> Any:
        """A field that is needed."""
        found = self.values.get(name)
        if found is None:
            raise DatasetError(f"{self.label(name)} is missing; add it, as {expected}")
        return found

    def text(self, name: str) -> str:
        """A text that is not empty, without blanks at its ends."""
        return self._text(self.value(name, "a text"), name).strip()

    def prompt(self, name: str) -> str:
        """A text that is not empty, without blanks at its end."""
        return self._text(self.value(name, "a text"), name).rstrip()

    def prompts(self, *names: str) -> tuple[str, ...]:
        """The texts of the fields of these names that are there: lists of texts, or texts."""
        found: list[str] = []
        for name in names:
            value = self.values.get(name)
            if isinstance(value, list):
                found += [self._text(one, name, place).rstrip() for place, one in enumerate(value)]
            elif isinstance(value, str):
                found.append(self._text(value, name).rstrip())
            elif value is not None:
                raise DatasetError(f"{self.label(name)} is {shown(value)}; give a list of texts")
        return tuple(found)

    def answer(self, name: str) -> str:
        """A text, or the first of a list of texts or of a list of lists of texts that all say the same."""
        value = self.value(name, "a text or a list of texts")
        for _ in range(2):
            if isinstance(value, list):
                if not value:
                    raise DatasetError(f"{self.label(name)} is an empty list; give at least one text")
                value = value[0]
        return self._text(value, name).strip()

    def identity(self, name: str) -> str:
        """A text or an integer that names the record, as a text; empty if there is none."""
        if not self.has(name):
            return ""
        value = self.values[name]
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise DatasetError(f"{self.label(name)} is {shown(value)}; give an integer or a text")
        # Long integers cannot be written out.
        if isinstance(value, int) and value.bit_length() > 64:
            raise DatasetError(f"{self.label(name)} is an integer of {value.bit_length()} bits; give one of up to 64")
        return str(value) if isinstance(value, int) else self._text(value, name).strip()

    def node(self, name: str) -> Node:
        """An object."""
        return self._node(self.value(name, "an object"), name)

    def nodes(self, name: str) -> list[Node]:
        """A list of at least one object."""
        value = self.value(name, "a list of objects")
        if not isinstance(value, list) or not value:
            raise DatasetError(f"{self.label(name)} is {shown(value)}; give a list of at least one object")
        return [self._node(one, f"{name}[{place}]") for place, one in enumerate(value)]

    def template(self, name: str, subject: str) -> Prompt:
        """A prompt with ``{}`` where the subject stands."""
        return self._marked(name, Prompt.from_template, subject)

    def filled(self, name: str, subject: str) -> Prompt:
        """A prompt with the subject in it."""
        return self._marked(name, Prompt.from_text, subject)

    def _marked(self, name: str, mark: Callable[[str, str], Prompt], subject: str) -> Prompt:
        try:
            return mark(self.prompt(name), subject)
        except FactError as error:
            raise DatasetError(f"{self.label(name)}: {error}") from error

    def _node(self, value: Any, name: str) -> Node:
        if not isinstance(value, Mapping):
            raise DatasetError(f"{self.label(name)} is {shown(value)}; give an object")
        return Node(value, f"{self.path}{name}.")

    def _text(self, value: Any, name: str, place: int | None = None) -> str:
        if isinstance(value, str) and value and not value.isspace() and len(value) <= TEXT_LIMIT:
            if value.isascii() or not _HALVES.search(value):
                return value
            problem = f"holds half a character, as in {shown(value)}; write it whole"
        elif not isinstance(value, str):
            problem = f"is {shown(value)}; give a text"
        elif len(value) > TEXT_LIMIT:
            problem = f"has {len(value):,} characters; give at most {TEXT_LIMIT:,}"
        else:
            problem = "is empty; give a text"
        raise DatasetError(f"{self.label(name if place is None else f'{name}[{place}]')} {problem}")


def checked(fact: Fact) -> Fact:
    """The fact, once it can be edited; raises FactError."""
    check_facts([fact])
    return fact


def shown(value: Any) -> str:
    """A value for a message: an object or a list by its kind and size, anything else shortened."""
    if isinstance(value, Mapping):
        return f"an object of {len(value)} fields"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a long integer"
    told = ascii(value) if isinstance(value, str) and _HALVES.search(value) else repr(value)
    return told if len(told) <= _SHOWN else f"{told[:_SHOWN]}..."
