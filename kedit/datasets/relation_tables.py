# SPDX-License-Identifier: Apache-2.0
"""The relations of S2RKE's table 3 with our templates, and nouns for them, as data."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal

from kedit.datasets.errors import DatasetError

__all__ = ["TemplatedRelation", "relation_noun", "templated_relations"]

_PROPERTY = re.compile(r"P\d+")
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|[_\s]+")


@dataclass(frozen=True, slots=True)
class TemplatedRelation:
    """A relation of S2RKE.

    Attributes:
        id: its number in table 3.
        name: without brackets.
        domain, range: as table 3 has them.
        templates: at least three, ``{}`` where the subject stands, the object follows after a space.
        value: what its objects are: names, integers, or years.
        category: what a subject of it is (a key of `CLASSES`), empty where the relation does not tell.
        wikidata: the property with the same subject and object, empty where there is none.
    """

    id: int
    name: str
    domain: str
    range: str
    templates: tuple[str, ...]
    value: Literal["item", "literal", "date"] = "item"
    category: str = ""
    wikidata: str = ""


@cache
def templated_relations() -> Mapping[str, TemplatedRelation]:
    """The 43 relations by name, in the order of table 3."""
    return MappingProxyType(
        {
            name: TemplatedRelation(name=name, **row | {"templates": tuple(row["templates"])})
            for name, row in _table("relation_templates.toml").items()
        }
    )


def relation_noun(relation: str, nouns: Mapping[str, str] | None = None) -> str:
    """The noun of a relation, as in "the place of birth of".

    It is looked up in `nouns`, then in the table for S2RKE's relations and Wikidata's properties; other names are taken
    apart into words.

    Raises:
        DatasetError: the relation has no name, or it is a property that no table knows.
    """
    name = relation.strip().strip("<>")
    for table in (nouns or {}, _table("relation_nouns.toml")):
        if name in table:
            return str(table[name])
    words = " ".join(_WORDS.sub(" ", name).split())
    if not words or _PROPERTY.fullmatch(words):
        raise DatasetError(f"relation {relation!r} has no noun; name one for it in `nouns`")
    return words


@cache
def _table(name: str) -> Mapping[str, Any]:
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return MappingProxyType(tomllib.loads(text))
