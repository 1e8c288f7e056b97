# SPDX-License-Identifier: Apache-2.0
"""Measurements as plain data for the report's figures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from kedit.gate.bench import Gate
from kedit.gate.measurements import FIRST_EDIT_LENGTHS, homogeneous_gaps, paired_batches
from kedit.gate.protocols import Trace
from kedit.gate.report import FIRST_EDIT, KEY_COSINE, SAME_SUBJECT, SEQUENCE

__all__ = ["record_first_edit", "record_same_subject", "record_sequence"]

WINDOW = 10
# Of the batch in which keys and efficacy are compared.
SCATTER_FACTS = 8


def record_same_subject(gate: Gate, facts: int) -> None:
    """Leave the scores of batches of `facts` facts; of one size also each fact's key and efficacy."""
    sides = dict(zip(("same", "distinct"), paired_batches(gate, facts), strict=True))
    scores = {side: {name: mean.as_data() for name, mean in one.scores.items()} for side, one in sides.items()}
    gate.record(SAME_SUBJECT, {"facts": facts, **scores})
    if facts == SCATTER_FACTS and all(one.points for one in sides.values()):
        gate.record(KEY_COSINE, {"facts": facts} | {side: _pairs(one.points) for side, one in sides.items()})


def record_first_edit(gate: Gate) -> None:
    """Leave how the first of several single edits stands right after itself, after one more, and at the end."""
    for done in FIRST_EDIT_LENGTHS:
        for metric, gap in homogeneous_gaps(gate, done).items():
            sides = {"same": gap.same.as_data(), "distinct": gap.distinct.as_data(), "gap": gap.gap.as_data()}
            gate.record(FIRST_EDIT, {"edits": done, "score": metric, **sides})


def record_sequence(gate: Gate, found: Trace) -> None:
    """Leave what a sequence of single edits still knows, and how far the weights are from the unedited ones.

    `after_each` and `after_all` are shares of windows of edits in their order; `known` and `relative_change` are pairs:
    edits so far, exact match over all of them, and the largest change of a weight."""
    moved = [(count, max(changes.values(), default=0.0)) for count, changes in found.changes.items()]
    gate.record(
        SEQUENCE,
        {
            "window": WINDOW,
            "after_each": _windows(found.after_each),
            "after_all": _windows(found.after_all),
            "known": _pairs(list(found.known.items())),
            "relative_change": _pairs(moved),
        },
    )


def _windows(outcomes: Sequence[bool]) -> list[float]:
    return [statistics.fmean(outcomes[start : start + WINDOW]) for start in range(0, len(outcomes), WINDOW)]


def _pairs(points: Sequence[tuple[Any, Any]]) -> list[list[float]]:
    return [[x, y] for x, y in points]
