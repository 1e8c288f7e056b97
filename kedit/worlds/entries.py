# SPDX-License-Identifier: Apache-2.0
"""Subjects of the synthetic world and their facts."""

from __future__ import annotations

from dataclasses import dataclass

from kedit.facts import Fact, Prompt
from kedit.worlds.relations import Relation

__all__ = ["Entry", "Subject"]


@dataclass(frozen=True, slots=True)
class Subject:
    """An entity with facts; its number is its place in `World.subjects`."""

    number: int
    category: str
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One true fact of the world and the counterfactual object it is edited to."""

    subject: Subject
    relation: Relation
    true: str
    new: str
    paraphrases: tuple[str, ...]
    neighborhood: tuple[str, ...]

    @property
    def fact(self) -> Fact:
        """The edit request: template 0, no text before the subject."""
        return Fact(
            prompt=Prompt.from_template(self.relation.templates[0], self.subject.name),
            target=self.new,
            true=self.true,
            relation=self.relation.name,
            paraphrases=self.paraphrases,
            neighborhood=self.neighborhood,
            id=f"{self.subject.number}/{self.relation.name}",
        )
