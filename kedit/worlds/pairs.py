# SPDX-License-Identifier: Apache-2.0
"""Same-subject and distinct-subject edits of a world, as MEMIT-Merge (appendix A) makes them of Wikidata."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import get_args

from kedit.datasets.pairs import Phrase
from kedit.facts import Fact, Prompt
from kedit.worlds.entries import Entry
from kedit.worlds.world import World, WorldError

__all__ = ["world_pairs"]

# Which template of `relations.toml` stands for "{s}'s {r} is" and which for "The name of the {r} of {s} is".
_TEMPLATE: Mapping[Phrase, int] = MappingProxyType({"subject-first": 0, "relation-first": 3})
_NEIGHBORS = 2

_Table = Mapping[tuple[str, str], Entry]


def world_pairs(world: World, n: int, seed: int, phrase: Phrase = "subject-first") -> tuple[list[Fact], list[Fact]]:
    """`n` facts of one celebrity, and the same relations and new objects on `n` other celebrities.

    The i-th facts of both lists differ in the subject, and so in the true object and in the prompts that judge them.
    Paraphrases are the other templates of the relation; neighbors are at most two subjects with the same true object
    that neither list edits, in template 0. Equal seeds draw the same facts for both phrases.

    Returns:
        The facts of one subject, and those of distinct subjects.

    Raises:
        WorldError: unknown phrase, or the world has too few celebrities, relations or neighbors.
    """
    if phrase not in get_args(Phrase):
        raise WorldError(f"phrase {phrase!r} is not known; take one of {', '.join(get_args(Phrase))}")
    rng = random.Random(f"kedit world pairs {n} {seed}")
    table = {(entry.subject.name, entry.relation.name): entry for entry in world.entries}
    celebrities = [subject.name for subject in world.celebrities]
    name, relations = _one_subject(rng, world, celebrities, n)
    others = _distinct_subjects(rng, table, [c for c in celebrities if c != name], relations)
    edited = {name, *others}
    values: dict[str, set[str]] = {relation: set() for relation in relations}
    for entry in world.entries:
        if entry.relation.name in values:
            values[entry.relation.name].add(entry.true)
    same: list[Fact] = []
    distinct: list[Fact] = []
    for relation, other in zip(relations, others, strict=True):
        pair = table[name, relation], table[other, relation]
        target = rng.choice(sorted(values[relation] - {entry.true for entry in pair}))
        for facts, entry in zip((same, distinct), pair, strict=True):
            facts.append(_fact(rng, world, entry, target, _TEMPLATE[phrase], edited))
    return same, distinct


def _one_subject(rng: random.Random, world: World, celebrities: Sequence[str], n: int) -> tuple[str, list[str]]:
    fitting = [name for name in celebrities if len(world.facts_of(name)) >= n]
    if n < 1 or not fitting or len(celebrities) <= n:
        most = max((len(world.facts_of(name)) for name in celebrities), default=0)
        raise WorldError(
            f"cannot draw {n} facts of one celebrity and of {n} others: the world has {len(celebrities)} celebrities "
            f"with at most {most} facts; ask for at least one and at most that many"
        )
    name = rng.choice(fitting)
    return name, [fact.relation for fact in rng.sample(world.facts_of(name), n)]


def _distinct_subjects(
    rng: random.Random, table: _Table, celebrities: Sequence[str], relations: Sequence[str]
) -> list[str]:
    """One celebrity for each relation, which it holds; none twice."""
    chosen: list[str] = []
    for relation in relations:
        holders = [name for name in celebrities if (name, relation) in table and name not in chosen]
        if not holders:
            raise WorldError(f"no celebrity is left that holds {relation!r}; ask for fewer facts or take another seed")
        chosen.append(rng.choice(holders))
    return chosen


def _fact(rng: random.Random, world: World, entry: Entry, target: str, template: int, edited: Collection[str]) -> Fact:
    relation, name = entry.relation, entry.subject.name
    near = [
        Prompt.from_template(relation.templates[0], other.subject.name).text
        for other in world.entries
        if other.relation is relation and other.true == entry.true and other.subject.name not in edited
    ]
    if not near:
        raise WorldError(
            f"every subject that shares {entry.true!r} of {relation.name!r} with {name!r} is edited too; ask for fewer "
            "facts or take another seed"
        )
    return Fact(
        prompt=Prompt.from_template(relation.templates[template], name),
        target=target,
        true=entry.true,
        relation=relation.name,
        paraphrases=tuple(
            Prompt.from_template(text, name).text
            for number, text in enumerate(relation.templates)
            if number != template
        ),
        neighborhood=tuple(rng.sample(near, min(_NEIGHBORS, len(near)))),
        id=f"{entry.subject.number}/{relation.name}",
    )
