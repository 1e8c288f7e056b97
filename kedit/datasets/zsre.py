# SPDX-License-Identifier: Apache-2.0
"""zsRE in the format of MEND's evaluation file: one question a record."""

from __future__ import annotations

from collections.abc import Mapping

from kedit.datasets.fields import Node, checked
from kedit.datasets.records import Probe, Record
from kedit.facts import Fact

__all__ = ["read"]


def read(record: Node, number: int, options: Mapping[str, str]) -> list[Record]:
    """The one fact.

    With `target = "alt"` it becomes the made-up answer and `true` is the right one, `answers[0]`; with
    `target = "answers"` it is the other way round. The questions are kept as they stand, a prefix `nq question: ` too.
    """
    case = str(number)
    made_up, right = record.text("alt"), record.answer("answers")
    target, true = (made_up, right) if options["target"] == "alt" else (right, made_up)
    fact = Fact(
        prompt=record.filled("src", record.text("subject")),
        target=target,
        true=true,
        paraphrases=record.prompts("rephrase"),
        id=case,
    )
    unrelated: tuple[Probe, ...] = ()
    ported: tuple[Probe, ...] = ()
    if record.has("loc"):
        unrelated = (Probe(record.prompt("loc"), record.answer("loc_ans")),)
    if record.has("portability"):
        question = record.node("portability")
        ported = (Probe(question.prompt("New Question"), question.answer("New Answer")),)
    return [Record(checked(fact), case, specificity=unrelated, portability=ported)]
