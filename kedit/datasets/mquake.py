# SPDX-License-Identifier: Apache-2.0
"""MQuAKE: one record a case of one or more rewrites, with questions whose answer needs all of them."""

from __future__ import annotations

from collections.abc import Mapping

from kedit.datasets.counterfact import rewritten
from kedit.datasets.fields import Node
from kedit.datasets.records import Probe, Record

__all__ = ["read"]


def read(record: Node, number: int, _options: Mapping[str, str]) -> list[Record]:
    """A fact a rewrite, each with its question as paraphrase and with the case's questions as portability.

    A question holds once all facts of the case are edited, not one of them alone.
    """
    case = record.identity("case_id") or str(number)
    rewrites = record.nodes("requested_rewrite")
    answer = record.text("new_answer")
    probes = tuple(Probe(question, answer, "multi-hop") for question in record.prompts("questions"))
    return [
        Record(rewritten(rewrite, f"{case}/{place}", rewrite.prompts("question")), case, portability=probes)
        for place, rewrite in enumerate(rewrites, 1)
    ]
