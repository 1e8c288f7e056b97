# SPDX-License-Identifier: Apache-2.0
"""Records in S2RKE's format from triples (S2RKE, appendix B)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from kedit.datasets.categories import CLASSES
from kedit.datasets.errors import DatasetError
from kedit.datasets.relation_tables import TemplatedRelation, templated_relations
from kedit.datasets.sampling import draw_without
from kedit.datasets.star_topology import star_record, star_rewrite
from kedit.datasets.triples import Label, Triple, clean, integer, local_name, year

__all__ = ["LEAST_FACTS", "Built", "build_stars"]

LEAST_FACTS = 3
_NEIGHBORS = 2
_THING = "owl:Thing"
_TYPES = ("type", "rdf:type")


@dataclass(frozen=True, slots=True)
class Built:
    """The records, and how many lines, facts and subjects were left out for which reason."""

    records: list[dict[str, Any]]
    left_out: Mapping[str, int]


@dataclass(slots=True)
class _Known:
    """What the triples say, with objects as they stand in prompts."""

    names: dict[str, str] = field(default_factory=dict)
    """Names of subjects by their key in the file."""
    types: dict[str, str] = field(default_factory=dict)
    objects: dict[str, dict[str, dict[str, None]]] = field(default_factory=dict)
    """Objects by subject and relation."""
    pools: dict[str, list[str]] = field(default_factory=dict)
    """Objects by relation, each once."""
    sharers: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Subjects and relations by object."""
    left_out: Counter[str] = field(default_factory=Counter)


def build_stars(
    triples: Iterable[Triple], seed: int, *, n: int | None = None, labels: Mapping[str, Label] | None = None
) -> Built:
    """One record for each subject with at least three facts.

    A subject has one fact a relation, the first of the file. Its new object is one that the relation has for another
    subject and never for this one. Its paraphrase is another template, with the subject's description behind the
    subject if `labels` has one. Its two neighborhood prompts are about other subjects with the same object, of any
    relation. The class is the type that the triples name, if it is one of S2RKE's six, else what most of the
    subject's relations tell, else `owl:Thing`.

    Left out and counted are triples of relations that are not in table 3, of entities without a name, and with values
    that are no integer or year; facts without a possible new object or without two neighbors; second objects of one
    relation, and triples that stand twice; subjects called like an earlier one, or with too few facts.

    Args:
        triples: in the order of the file.
        seed: of templates, new objects and neighbors; each subject has draws of its own.
        n: how many subjects, those with the most facts (appendix B.1); all if left out.
        labels: names and descriptions by local name; needed where names are numbers, as in Wikidata.

    Raises:
        DatasetError: no subject is left, or fewer than `n`.
    """
    if n is not None and n < 1:
        raise DatasetError(f"cannot build {n} subjects; ask for at least one")
    known = _read(triples, labels or {})
    left_out = Counter(known.left_out)
    found: dict[str, list[dict[str, Any]]] = {}
    for subject in known.objects:
        rng = random.Random(f"kedit stars {seed} {subject}")
        description = (labels or {}).get(subject, Label("")).description
        rewrites = _rewrites(rng, known, subject, description, left_out)
        if len(rewrites) >= LEAST_FACTS:
            found[subject] = rewrites
        else:
            left_out[f"subject with fewer than {LEAST_FACTS} facts"] += 1
    chosen = set(sorted(found, key=lambda subject: -len(found[subject]))[:n])
    if not chosen or (n is not None and len(chosen) < n):
        counts = ", ".join(f"{reason} {count}" for reason, count in left_out.items()) or "nothing was left out"
        wanted = "at least one subject" if n is None else f"{n} subjects"
        raise DatasetError(
            f"{len(found)} subjects are left of {wanted} ({counts}); give more triples, or ask for fewer"
        )
    records = [
        star_record(
            number=number,
            label=_class(known, subject),
            name=known.names[subject],
            slug=subject,
            description=(labels or {}).get(subject, Label("")).description,
            rewrites=found[subject],
        )
        for number, subject in enumerate(subject for subject in found if subject in chosen)
    ]
    return Built(records, MappingProxyType(dict(left_out)))


def _read(triples: Iterable[Triple], labels: Mapping[str, Label]) -> _Known:
    relations = templated_relations()
    by_property = {relation.wikidata: relation for relation in relations.values() if relation.wikidata}
    taken: dict[str, str] = {}
    seen: dict[str, set[str]] = {}
    known = _Known()
    for triple in triples:
        if triple.relation in _TYPES:
            if triple.object in CLASSES.values():
                known.types.setdefault(triple.subject, triple.object)
            continue
        relation = relations.get(triple.relation) or by_property.get(triple.relation)
        if relation is None:
            known.left_out["triple of another relation"] += 1
            continue
        name, value = _name(triple.subject, labels), _value(relation, triple.object, labels)
        if not name or not value:
            known.left_out["triple without a name or value"] += 1
        elif taken.setdefault(name, triple.subject) != triple.subject:
            known.left_out["triple of a second subject with one name"] += 1
        else:
            known.names[triple.subject] = name
            held = known.objects.setdefault(triple.subject, {}).setdefault(relation.name, {})
            if value in held:
                known.left_out["repeated triple"] += 1
                continue
            if held:
                known.left_out["second object of a relation"] += 1
            held[value] = None
            known.sharers.setdefault(value, []).append((triple.subject, relation.name))
            if value not in seen.setdefault(relation.name, set()):
                seen[relation.name].add(value)
                known.pools.setdefault(relation.name, []).append(value)
    return known


def _name(key: str, labels: Mapping[str, Label]) -> str:
    """The name of an entity; empty for a number of Wikidata that has no label."""
    if key in labels:
        return clean(labels[key].name)
    return "" if key[:1] == "Q" and key[1:].isdigit() else clean(key)


def _value(relation: TemplatedRelation, text: str, labels: Mapping[str, Label]) -> str:
    if relation.value == "literal":
        return integer(text)
    if relation.value == "date":
        return year(text)
    return clean(text) if text.startswith('"') else _name(local_name(text), labels)


def _rewrites(
    rng: random.Random, known: _Known, subject: str, description: str, left_out: Counter[str]
) -> list[dict[str, Any]]:
    name, rewrites = known.names[subject], []
    own = {(subject, relation) for relation in known.objects[subject]}
    for relation, held in known.objects[subject].items():
        true = next(iter(held))
        new = draw_without(rng, known.pools[relation], held, 1)
        near = draw_without(rng, known.sharers[true], own, _NEIGHBORS)
        if not new:
            left_out["fact without another object"] += 1
        elif len(near) < _NEIGHBORS:
            left_out["fact without two neighbors"] += 1
        else:
            prompt, other = rng.sample(templated_relations()[relation].templates, 2)
            rewrites.append(
                star_rewrite(
                    prompt=prompt,
                    relation=relation,
                    true=true,
                    new=new[0],
                    paraphrases=[other.replace("{}", f"{name}, {description}," if description else name, 1)],
                    neighborhood=[
                        rng.choice(templated_relations()[r].templates).replace("{}", known.names[neighbor], 1)
                        for neighbor, r in near
                    ],
                )
            )
    return rewrites


def _class(known: _Known, subject: str) -> str:
    if subject in known.types:
        return known.types[subject]
    told = Counter(templated_relations()[relation].category for relation in known.objects[subject])
    told.pop("", None)
    return CLASSES[told.most_common(1)[0][0]] if told else _THING
