# SPDX-License-Identifier: Apache-2.0
"""Common knowledge about real subjects, for models of the real world: the built-in facts, grouped by subject."""

from __future__ import annotations

import hashlib
import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from kedit.datasets.records import Dataset, Record
from kedit.facts import Fact, Prompt

__all__ = ["COMMON_KNOWLEDGE", "common_knowledge", "common_knowledge_dataset"]

COMMON_KNOWLEDGE = "common-knowledge"
"""Its name where a file of facts is asked for."""

_FILE = "common_knowledge.toml"
_NEIGHBORS = 5


@dataclass(frozen=True)
class _Relation:
    """A relation of one kind of subjects, as the file has it.

    Attributes:
        objects: each object with the subjects that it is true of; without any, it only serves as a new object.
        also: objects that hold for a subject beside its true one, nearly, or once did.
    """

    templates: Sequence[str]
    objects: Mapping[str, Sequence[str]]
    also: Mapping[str, Sequence[str]] = field(default_factory=dict)


def common_knowledge() -> Mapping[str, tuple[Fact, ...]]:
    """The facts of each subject; equal on every machine.

    The rewrite prompts of a subject have the same words before it. Neighbors are never subjects of the set, so that no
    edit of another fact changes what a neighborhood prompt asks. The new object is drawn, with a seed made of subject
    and relation, among the other objects of the relation that do not hold for the subject.
    """
    return common_knowledge_dataset().by_subject()


@cache
def common_knowledge_dataset() -> Dataset:
    """The facts as `read_dataset` gives those of a file; the category is the kind of the subject."""
    data = resources.files(__package__).joinpath(_FILE).read_bytes()
    records = [record for kind, table in tomllib.loads(data.decode()).items() for record in _records(kind, table)]
    return Dataset(tuple(records), "kedit", COMMON_KNOWLEDGE, hashlib.sha256(data).hexdigest())


def _records(kind: str, table: Mapping[str, Any]) -> Iterator[Record]:
    subjects: Sequence[str] = table["subjects"]
    relations = {name: _Relation(**row) for name, row in table.items() if name != "subjects"}
    for subject in subjects:
        for name, relation in relations.items():
            for true, holders in relation.objects.items():
                if subject in holders:
                    neighbors = [other for other in holders if other not in subjects][:_NEIGHBORS]
                    fact = _fact(name, relation, subject, true, neighbors)
                    yield Record(fact, case=subject, category=kind.capitalize())


def _fact(name: str, relation: _Relation, subject: str, true: str, neighbors: Sequence[str]) -> Fact:
    rng = random.Random(f"{COMMON_KNOWLEDGE} {subject} {name}")
    hold = {true, *relation.also.get(subject, ())}
    rewrite, *others = relation.templates
    return Fact(
        prompt=Prompt.from_template(rewrite, subject),
        target=rng.choice([one for one in relation.objects if one not in hold]),
        true=true,
        relation=name,
        paraphrases=tuple(Prompt.from_template(template, subject).text for template in others),
        neighborhood=tuple(Prompt.from_template(rewrite, other).text for other in neighbors),
        id=f"{subject} / {name}",
    )
