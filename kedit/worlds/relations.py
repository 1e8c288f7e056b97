# SPDX-License-Identifier: Apache-2.0
"""The relations of the world: names after S2RKE's table 3, templates and closed object sets from `relations.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from kedit.datasets.categories import CATEGORIES

__all__ = ["CATEGORIES", "Relation", "relation", "relations", "relations_of"]


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation. `templates[:3]` begin with the subject, `templates[3]` names the relation before it."""

    name: str
    categories: tuple[str, ...]
    templates: tuple[str, ...]
    objects: tuple[str, ...]
    value: str = "item"  # "item", "literal" (an integer) or "date" (a year)

    def right(self, template: int) -> str:
        """The text behind the subject, for example `" is a citizen of"`."""
        return self.templates[template].split("{}", 1)[1]

    def left(self, template: int) -> str:
        """The text before the subject; empty for the subject-first templates."""
        return self.templates[template].split("{}", 1)[0]


@cache
def relations() -> tuple[Relation, ...]:
    """All relations, in the order of the table."""
    text = resources.files(__package__).joinpath("relations.toml").read_text(encoding="utf-8")
    return tuple(
        Relation(
            name=name,
            categories=tuple(row["categories"]),
            templates=tuple(row["templates"]),
            objects=tuple(row["objects"]),
            value=row.get("value", "item"),
        )
        for name, row in tomllib.loads(text).items()
    )


@cache
def relation(name: str) -> Relation:
    """The relation of that name; raises KeyError when the table has none."""
    for candidate in relations():
        if candidate.name == name:
            return candidate
    raise KeyError(f"no relation {name!r}; known: {', '.join(r.name for r in relations())}")


@cache
def relations_of(category: str) -> tuple[Relation, ...]:
    """The relations a subject of `category` can have."""
    return tuple(r for r in relations() if category in r.categories)
