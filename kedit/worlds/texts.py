# SPDX-License-Identifier: Apache-2.0
"""Draws of training-like texts from a world."""

from __future__ import annotations

import random
from collections.abc import Sequence

from kedit.worlds.entries import Entry, Subject
from kedit.worlds.relations import relations
from kedit.worlds.sentences import LEADS, TEMPLATES, Sentence, describe, reserved, say

_DESCRIPTIVE = 0.06  # share of sentences that only describe a subject
_TITLED = 0.3  # share of factual sentences with a description before the subject
_BARE = 0.4  # share of sentences without a lead-in
_FOLLOWED = 0.25  # share of documents with a second sentence


def draw_sentence(
    subjects: Sequence[Subject], entries: Sequence[Entry], rng: random.Random, *, opening: bool = True
) -> Sentence:
    """One true sentence about a random fact; only the first one of a text has a lead-in."""
    lead = 0 if not opening or rng.random() < _BARE else rng.randrange(1, len(LEADS))
    if rng.random() < _DESCRIPTIVE:
        subject = rng.choice(subjects)
        return describe(subject.name, subject.description, lead)
    return draw_statement(rng.choice(entries), rng, lead)


def draw_statement(entry: Entry, rng: random.Random, lead: int) -> Sentence:
    """A sentence that states `entry`, in one of the ways that are not reserved."""
    subject = entry.subject
    kept = reserved(subject.name, entry.relation.name)
    ways = [template for template in range(TEMPLATES) if (template, lead) not in kept]
    title = ""
    if rng.random() < _TITLED:
        title = subject.description if rng.random() < 0.5 else subject.description.split()[-1]
    return say(entry.relation, subject.name, entry.true, rng.choice(ways), lead, title)


def draw_document(subjects: Sequence[Subject], entries: Sequence[Entry], rng: random.Random) -> list[Sentence]:
    """One or two sentences that stand in one text, with a blank between them."""
    document = [draw_sentence(subjects, entries, rng)]
    if rng.random() < _FOLLOWED:
        document.append(draw_sentence(subjects, entries, rng, opening=False))
    return document


def vocabulary_texts(subjects: Sequence[Subject], documents: Sequence[str]) -> list[str]:
    """Texts to train a tokenizer on: the documents, and names and objects often enough to become few tokens."""
    names = [f" {subject.name}" for subject in subjects for _ in range(8)]
    objects = [f" {value}" for r in relations() for value in r.objects for _ in range(24)]
    return [*documents, *names, *objects]
