# SPDX-License-Identifier: Apache-2.0
"""S2RKE: one record a subject, its facts in `Star_Topology` (figure 9 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping

from kedit.datasets.categories import category_of
from kedit.datasets.fields import Node, checked
from kedit.datasets.records import Record
from kedit.facts import Fact

__all__ = ["read"]


def read(record: Node, number: int, _options: Mapping[str, str]) -> list[Record]:
    """The facts of one subject; the neighborhood's right answer is each fact's true object."""
    case = record.identity("subjectID") or str(number)
    category = category_of(record.text("class"))
    subject = record.node("subject").text("name")
    found = []
    for item in record.nodes("Star_Topology"):
        rewrite = item.node("requested_rewrite")
        relation = rewrite.text("relation").strip("<>")
        fact = Fact(
            prompt=rewrite.template("prompt", subject),
            target=rewrite.text("target_new"),
            true=rewrite.text("target_true"),
            relation=relation,
            paraphrases=item.prompts("paraphrase_prompts"),
            neighborhood=item.prompts("neighborhood_prompts"),
            id=f"{case}/{relation}",
        )
        found.append(Record(checked(fact), case, category))
    return found
