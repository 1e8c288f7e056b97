# SPDX-License-Identifier: Apache-2.0
"""CounterFact and its multi version: one record a fact."""

from __future__ import annotations

from collections.abc import Mapping

from kedit.datasets.fields import Node, checked
from kedit.datasets.records import Record
from kedit.facts import Fact

__all__ = ["read", "rewritten"]


def read(record: Node, number: int, _options: Mapping[str, str]) -> list[Record]:
    """The one fact; attribute and generation prompts are not read."""
    case = record.identity("case_id") or str(number)
    rewrite = record.node("requested_rewrite")
    paraphrases = record.prompts("paraphrase_prompts")
    neighborhood = record.prompts("neighborhood_prompts")
    return [Record(rewritten(rewrite, case, paraphrases, neighborhood), case)]


def rewritten(rewrite: Node, name: str, paraphrases: tuple[str, ...], neighborhood: tuple[str, ...] = ()) -> Fact:
    """The fact of a `requested_rewrite`, whose objects stand in `str`."""
    return checked(
        Fact(
            prompt=rewrite.template("prompt", rewrite.text("subject")),
            target=rewrite.node("target_new").text("str"),
            true=rewrite.node("target_true").text("str"),
            relation=rewrite.text("relation_id") if rewrite.has("relation_id") else "",
            paraphrases=paraphrases,
            neighborhood=neighborhood,
            id=name,
        )
    )
