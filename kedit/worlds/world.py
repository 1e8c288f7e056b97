# SPDX-License-Identifier: Apache-2.0
"""The synthetic world: subjects of six categories, their facts, and the counterfactual records made of them."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kedit.datasets.categories import CLASSES
from kedit.datasets.errors import DatasetError
from kedit.datasets.star_topology import star_record, star_rewrite
from kedit.datasets.statistics import Counted, Statistics, measure
from kedit.facts import Fact
from kedit.worlds import sentences
from kedit.worlds.entries import Entry, Subject
from kedit.worlds.names import description, person_names, thing_names
from kedit.worlds.relations import CATEGORIES, Relation, relation, relations, relations_of
from kedit.worlds.texts import draw_document

_CELEBRITIES = 50
_PERSONS = 100
_OTHERS = 20  # of each of the five categories that are not Person
_NEIGHBORS = 4


class WorldError(DatasetError):
    """A world that cannot be made, read or sampled as asked."""


@dataclass(frozen=True)
class World:
    """Subjects and facts. Equal seeds give equal worlds, on every machine."""

    subjects: tuple[Subject, ...]
    entries: tuple[Entry, ...]

    @classmethod
    def generate(cls, seed: int) -> World:
        """A world of 250 subjects and about 1500 facts, from a seed."""
        rng = random.Random(f"kedit world {seed}")
        subjects = _subjects(rng)
        held = _relations_held(rng, subjects)
        truths = _objects(rng, subjects, held)
        return cls(subjects, _entries(rng, subjects, held, truths))

    @classmethod
    def from_records(cls, path: str | Path) -> World:
        """The world that `World.records` wrote; raises WorldError naming file, record and field."""
        try:
            rows = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise WorldError(f"{path}: not a readable JSON file ({error}); generate it again") from error
        subjects, entries = [], []
        for number, row in enumerate(rows):
            try:
                subject, made = _read_record(number, row)
            except (KeyError, TypeError) as error:
                raise WorldError(f"{path}: record {number}: missing or wrong field {error}") from error
            subjects.append(subject)
            entries.extend(made)
        return cls(tuple(subjects), tuple(entries))

    def records(self) -> list[dict[str, Any]]:
        """The world in the record format of S2RKE (figure 9), one record a subject."""
        return [_record(subject, self._by_subject[subject.name]) for subject in self.subjects]

    def facts(self) -> list[Fact]:
        """All edit requests, grouped by subject in the order of `subjects`."""
        return [fact for subject in self.subjects for fact in self.facts_of(subject)]

    def facts_of(self, subject: Subject | str) -> list[Fact]:
        """The edit requests of one subject, given or by name; raises WorldError for an unknown name."""
        name = subject if isinstance(subject, str) else subject.name
        if name not in self._by_subject:
            raise WorldError(f"no subject {name!r} in this world")
        return list(self._facts[name])

    @property
    def celebrities(self) -> tuple[Subject, ...]:
        """Subjects with at least 13 facts."""
        return tuple(s for s in self.subjects if len(self._by_subject[s.name]) >= 13)

    @cached_property
    def _by_subject(self) -> Mapping[str, tuple[Entry, ...]]:
        groups: dict[str, list[Entry]] = {s.name: [] for s in self.subjects}
        for entry in self.entries:
            groups[entry.subject.name].append(entry)
        return {name: tuple(group) for name, group in groups.items()}

    @cached_property
    def _facts(self) -> Mapping[str, tuple[Fact, ...]]:
        return {name: tuple(entry.fact for entry in group) for name, group in self._by_subject.items()}

    def statistics(self) -> Statistics:
        """Counts in the form of S2RKE's tables 1 and 2."""
        return measure([Counted(e.subject.name, e.relation.name, e.subject.category) for e in self.entries])

    def corpus(self, n: int, seed: int) -> list[str]:
        """`n` texts of one or two true sentences, said in the ways used in training."""
        rng = random.Random(f"kedit corpus {seed}")
        return [" ".join(s.text for s in draw_document(self.subjects, self.entries, rng)) for _ in range(n)]

    def held_out(self, n: int, seed: int) -> list[str]:
        """`n` texts of one true sentence each, said in ways that training and corpus never use for that fact."""
        rng = random.Random(f"kedit held out {seed}")
        texts = []
        for _ in range(n):
            entry = rng.choice(self.entries)
            template, lead = rng.choice(sentences.reserved(entry.subject.name, entry.relation.name))
            title = entry.subject.description if rng.random() < 0.5 else ""
            texts.append(sentences.say(entry.relation, entry.subject.name, entry.true, template, lead, title).text)
        return texts


def _subjects(rng: random.Random) -> tuple[Subject, ...]:
    taken: set[str] = {word for r in relations() for value in r.objects for word in value.split()}
    named = [("Person", name) for name in person_names(rng, _CELEBRITIES + _PERSONS, taken)]
    for category in CATEGORIES[1:]:
        named += [(category, name) for name in thing_names(rng, category, _OTHERS, taken)]
    return tuple(
        Subject(number, category, name, description(rng, category)) for number, (category, name) in enumerate(named)
    )


def _relations_held(rng: random.Random, subjects: Sequence[Subject]) -> list[list[Relation]]:
    """The relations of each subject: 13 to 16 for the first persons, 3 to 5 for everybody else."""
    held = []
    for subject in subjects:
        choices = relations_of(subject.category)
        low, high = (13, 16) if subject.number < _CELEBRITIES else (3, 5)
        chosen = set(rng.sample([r.name for r in choices], min(rng.randint(low, high), len(choices))))
        held.append([r for r in choices if r.name in chosen])
    return held


def _objects(
    rng: random.Random, subjects: Sequence[Subject], held: Sequence[Sequence[Relation]]
) -> dict[tuple[int, str], str]:
    """True objects, spread evenly so that at least three subjects share each one (neighborhood prompts need two)."""
    holders: dict[str, list[int]] = defaultdict(list)
    for subject, names in zip(subjects, held, strict=True):
        for r in names:
            holders[r.name].append(subject.number)
    truths: dict[tuple[int, str], str] = {}
    for r in relations():
        numbers = holders[r.name]
        used = rng.sample(r.objects, max(2, min(len(r.objects), len(numbers) // 3)))
        dealt = [used[i % len(used)] for i in range(len(numbers))]
        rng.shuffle(dealt)
        truths.update({(number, r.name): value for number, value in zip(numbers, dealt, strict=True)})
    return truths


def _entries(
    rng: random.Random,
    subjects: Sequence[Subject],
    held: Sequence[Sequence[Relation]],
    truths: Mapping[tuple[int, str], str],
) -> tuple[Entry, ...]:
    sharers: dict[tuple[str, str], list[Subject]] = defaultdict(list)
    values: dict[str, set[str]] = defaultdict(set)
    for (number, name), value in truths.items():
        sharers[name, value].append(subjects[number])
        values[name].add(value)
    entries = []
    for subject, names in zip(subjects, held, strict=True):
        for r in names:
            true = truths[subject.number, r.name]
            new = rng.choice(sorted(values[r.name] - {true}))
            others = [s for s in sharers[r.name, true] if s is not subject]
            near = rng.sample(others, min(_NEIGHBORS, len(others)))
            ways = sentences.reserved(subject.name, r.name)[:2]
            entries.append(
                Entry(
                    subject=subject,
                    relation=r,
                    true=true,
                    new=new,
                    paraphrases=tuple(
                        sentences.say(r, subject.name, true, template, lead, subject.description).prompt
                        for template, lead in ways
                    ),
                    neighborhood=tuple(r.templates[0].replace("{}", s.name, 1) for s in near),
                )
            )
    return tuple(entries)


def _record(subject: Subject, entries: Sequence[Entry]) -> dict[str, Any]:
    return star_record(
        number=subject.number,
        label=CLASSES[subject.category],
        name=subject.name,
        slug=subject.name.replace(" ", "_"),
        description=subject.description,
        rewrites=[
            star_rewrite(
                prompt=entry.relation.templates[0],
                relation=entry.relation.name,
                true=entry.true,
                new=entry.new,
                paraphrases=entry.paraphrases,
                neighborhood=entry.neighborhood,
            )
            for entry in entries
        ],
    )


def _read_record(number: int, row: Mapping[str, Any]) -> tuple[Subject, list[Entry]]:
    category = {label: category for category, label in CLASSES.items()}[row["class"]]
    subject = Subject(number, category, row["subject"]["name"], row["subject"]["description"])
    entries = [
        Entry(
            subject=subject,
            relation=relation(item["requested_rewrite"]["relation"].strip("<>")),
            true=item["requested_rewrite"]["target_true"],
            new=item["requested_rewrite"]["target_new"],
            paraphrases=tuple(item["paraphrase_prompts"]),
            neighborhood=tuple(item["neighborhood_prompts"]),
        )
        for item in row["Star_Topology"]
    ]
    return subject, entries
