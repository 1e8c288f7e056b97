# SPDX-License-Identifier: Apache-2.0
"""Keys and merged values of editors that show what they solved."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from torch import Tensor

from kedit.facts import Fact
from kedit.gate import Gate
from kedit.metrics import average_key_distance, average_pairwise_cosine


@pytest.mark.editing_property("mechanism.same-key", needs=("keyed",))
def test_same_key(gate: Gate) -> None:
    """Facts with the same tokens up to the subject's last one have the same key at the first edited layer, whatever
    follows (MEMIT-Merge, section 4.1: AKD 0; S2RKE, section 5.2: cosine 1)."""
    together = torch.stack([first_key(gate, fact) for fact in gate.facts.same_subject(4, gate.seed)], dim=1)
    gate.judge("cosine", average_pairwise_cosine(together))
    gate.judge("AKD", average_key_distance(together) / float(together.double().norm(dim=0).mean()))


@pytest.mark.editing_property("mechanism.own-key", needs=("keyed",))
def test_own_key(gate: Gate) -> None:
    """Behind the same words, other subjects have other keys, and so has a second mention of a subject: the key is read
    at the last token of the span that the fact declares, wherever that stands (ROME, section 3.1: the key of the
    subject's last token; a subject that is looked for again, or counted from the prompt's start, is read elsewhere)."""
    one, other = gate.facts.distinct(2, gate.seed)
    facts = [behind("In 1999, ", one), behind("In 1999, ", other), one, behind(f"{one.subject} ", one)]
    keys = [first_key(gate, fact) for fact in facts]
    for first, second, what in ((0, 1, "two subjects"), (2, 3, "two mentions")):
        pair = torch.stack([keys[first], keys[second]], dim=1)
        distance = average_key_distance(pair) / float(pair.double().norm(dim=0).mean())
        gate.judge("distance", distance, note=f"{what}: {facts[first].prompt.text!r}, {facts[second].prompt.text!r}")


def first_key(gate: Gate, fact: Fact) -> Tensor:
    """The key `(f,)` of a fact that is edited alone, at the first edited layer."""
    update, _ = gate.editor.edit(gate.model, [fact])
    layers = update.evidence.layers
    return layers[min(layers)].keys[:, 0]


def behind(words: str, fact: Fact) -> Fact:
    """The fact with words before its prompt; the declared subject is the same mention."""
    prompt = dataclasses.replace(fact.prompt, left=words + fact.prompt.left)
    return dataclasses.replace(fact, prompt=prompt)


@pytest.mark.editing_property("mechanism.merged-value", needs=("grouped", "batch"))
def test_merged_value(gate: Gate) -> None:
    """All facts of a group share one value, bit for bit, and other groups have others; a subject behind other words has
    another key, and is another group (MEMIT-Merge, section 4.2: groups of equal keys)."""
    elsewhere, *first = gate.facts.same_subject(5, gate.seed)
    second = next(
        facts
        for facts in (gate.facts.same_subject(3, gate.seed + further) for further in itertools.count(1))
        if facts[0].subject != elsewhere.subject
    )
    alone = [fact for fact in gate.facts.distinct(3, gate.seed) if fact.subject not in {first[0].subject}][:1]
    facts = [first[0], second[0], *first[1:], *alone, *second[1:]]
    update, _ = gate.editor.edit(gate.model, [*facts, behind("In 1999, ", elsewhere)])
    values, groups = update.evidence.values, update.evidence.groups
    by_subject: dict[str, list[int]] = {}
    for column, fact in enumerate(facts):
        by_subject.setdefault(fact.subject, []).append(column)
    split = sum(len({groups[column] for column in columns}) - 1 for columns in by_subject.values())
    unequal = sum(
        not torch.equal(values[:, columns[0]], values[:, column])
        for columns in by_subject.values()
        for column in columns[1:]
    )
    heads = [columns[0] for columns in by_subject.values()]
    shared = len(heads) - len({tuple(values[:, column].tolist()) for column in heads})
    gate.judge("split_groups", split, note="facts of one subject in several groups")
    gate.judge("unequal_values", unequal, note="facts whose value is not their group's, bit for bit")
    gate.judge("shared_values", shared, note="different subjects with one value")
    joined = groups[-1] in groups[:-1]
    gate.judge("joined_groups", float(joined), note="a subject behind other words is in the group of another key")
