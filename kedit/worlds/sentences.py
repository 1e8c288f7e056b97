# SPDX-License-Identifier: Apache-2.0
"""How a fact is said: lead-ins, descriptions, templates; and which ways of saying are kept out of training."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass
from functools import cache

from kedit.worlds.relations import Relation

# A lead-in goes on as a clause (", the cellist ...") or ends a sentence of its own.
LEADS = (
    "",
    "According to the archive, ",
    "It is well known that ",
    "The guide told us that ",
    "Yesterday we read that ",
    "As the whole village remembers, ",
    "The train was late again. ",
    "Rain fell all morning. ",
)
TEMPLATES = 4


@dataclass(frozen=True, slots=True)
class Sentence:
    """A prompt in three pieces and what completes it; `object` may be empty (a descriptive sentence)."""

    left: str
    subject: str
    right: str
    object: str

    @property
    def prompt(self) -> str:
        """The sentence up to the object, without the blank before it."""
        return self.left + self.subject + self.right

    @property
    def text(self) -> str:
        """The whole sentence with its full stop."""
        return f"{self.prompt} {self.object}." if self.object else f"{self.prompt}."


def say(relation: Relation, subject: str, value: str, template: int, lead: int, title: str = "") -> Sentence:
    """The sentence that states (subject, relation, value).

    `title` is put before the subject, for example "young cellist" gives "the young cellist Mira Solano".
    """
    left = relation.left(template)
    if title:
        left += "the " if left else "The "
        left += f"{title} "
    if left and LEADS[lead].endswith((", ", "that ")):
        left = left[0].lower() + left[1:]
    return Sentence(LEADS[lead] + left, subject, relation.right(template), value)


def describe(subject: str, description: str, lead: int) -> Sentence:
    """The sentence "<subject> is a <description>."; it states no fact of any relation."""
    article = "an" if description[0] in "aeiou" else "a"
    return Sentence(LEADS[lead], subject, f" is {article} {description}", "")


@cache
def reserved(subject: str, relation: str) -> tuple[tuple[int, int], ...]:
    """The (template, lead) pairs never used in training or in the corpus for this fact.

    Paraphrase prompts and texts for perplexity are made of them. They depend on the two names only, so a world
    read from its records has the same ones.
    """
    rng = random.Random(zlib.crc32(f"{subject}|{relation}".encode()))
    first, second, third, fourth = rng.sample(range(1, len(LEADS)), 4)
    return (1, first), (2, second), (1, third), (2, fourth)
