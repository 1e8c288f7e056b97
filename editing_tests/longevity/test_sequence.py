# SPDX-License-Identifier: Apache-2.0
"""Long sequences of single edits."""

from __future__ import annotations

import pytest

from kedit.gate import Gate, distinct_sequence, record_sequence, returning_sequence
from kedit.metrics import forgetting


@pytest.mark.editing_property("longevity.sequence", needs=("sequential",), long=True, knowledge=True)
def test_sequence(gate: Gate) -> None:
    """After two hundred single edits on distinct subjects the early ones are still there and the weights have not
    blown up (D4S, sections 4.1 and 4.2: sequences collapse as the norm grows)."""
    found = distinct_sequence(gate)
    record_sequence(gate, found)
    gate.judge("exact_match", sum(found.after_all) / len(found.after_all))
    gate.judge("forgetting", forgetting(found.after_each, found.after_all))
    for edits, changes in found.changes.items():
        for layer, change in enumerate(changes.values()):
            gate.judge("relative_change", change, edits=edits, weight=layer)


@pytest.mark.editing_property("longevity.returning-subjects", needs=("sequential",), long=True, knowledge=True)
def test_returning_subjects(gate: Gate) -> None:
    """Three rounds of one fact each of forty subjects: earlier facts of a subject outlive its later ones, neighbors
    stay, the norm stays (S2RKE, section 5.1, and D4S, section 4, together)."""
    found = returning_sequence(gate)
    gate.judge("exact_match", sum(found.after_all) / len(found.after_all))
    gate.judge("NS", found.neighbors)
    for layer, change in enumerate(found.changes[len(found.after_all)].values()):
        gate.judge("relative_change", change, weight=layer)
