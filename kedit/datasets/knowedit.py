# SPDX-License-Identifier: Apache-2.0
"""KnowEdit, and the flat files of EasyEdit: one record a fact, its prompts filled."""

from __future__ import annotations

from collections.abc import Mapping

from kedit.datasets.errors import DatasetError
from kedit.datasets.fields import Node, checked, shown
from kedit.datasets.records import Probe, Record
from kedit.facts import Fact

__all__ = ["read"]


def read(record: Node, number: int, _options: Mapping[str, str]) -> list[Record]:
    """The one fact; of several true objects or answers the first counts."""
    case = record.identity("case_id") or str(number)
    fact = Fact(
        prompt=record.filled("prompt", record.text("subject")),
        target=record.text("target_new"),
        true=record.answer("ground_truth"),
        relation=record.text("relation_id") if record.has("relation_id") else "",
        paraphrases=record.prompts("rephrase_prompt", "rephrase"),
        id=case,
    )
    unrelated = _parallel(record, "locality_prompt", "locality_ground_truth") + _probes(record, "locality")
    return [Record(checked(fact), case, specificity=unrelated, portability=_probes(record, "portability"))]


def _probes(record: Node, name: str) -> tuple[Probe, ...]:
    """An object that has, for each kind, a list of objects with `prompt` and `ground_truth`, or one with two lists."""
    if not record.has(name):
        return ()
    kinds = record.node(name)
    found: list[Probe] = []
    for kind, value in kinds.values.items():
        if isinstance(value, Mapping):
            found += _parallel(kinds.node(kind), "prompt", "ground_truth", kind)
        elif isinstance(value, list) and value:
            found += [Probe(one.prompt("prompt"), one.answer("ground_truth"), kind) for one in kinds.nodes(kind)]
        elif value is not None and value != []:
            raise DatasetError(f"{kinds.label(kind)} is {shown(value)}; give a list of objects")
    return tuple(found)


def _parallel(node: Node, prompts: str, answers: str, kind: str = "") -> tuple[Probe, ...]:
    """A prompt and its answer in two fields, or as many of both in two lists."""
    asked = node.prompts(prompts)
    if not asked:
        return ()
    given = node.value(answers, "a text for each prompt")
    if not isinstance(given, list):
        given = [given]
    if len(given) != len(asked):
        raise DatasetError(f"{node.label(answers)} is {shown(given)}; give as many as {prompts!r} has, {len(asked)}")
    alone = (Node({answers: one}, node.path) for one in given)
    return tuple(Probe(prompt, one.answer(answers), kind) for prompt, one in zip(asked, alone, strict=True))
