# SPDX-License-Identifier: Apache-2.0
"""Facts that share a subject, in one call."""

from __future__ import annotations

import pytest

from kedit.gate import Gate, record_same_subject, same_subject_batches


@pytest.mark.editing_property(
    "perturbation.same-subject-batch", needs=("batch",), long=True, quick={"facts": 8}, knowledge=True
)
@pytest.mark.parametrize("facts", [2, 4, 8, 12], ids=lambda n: f"{n}-facts")
def test_same_subject_batch(gate: Gate, facts: int) -> None:
    """Facts of one subject, edited in one call, take as well as facts of as many subjects (MEMIT-Merge, section 3
    and figure 1; S2RKE, section 5: one key is asked for several values). Means over draws, against a floor and
    against the same number of distinct subjects."""
    same, distinct = same_subject_batches(gate, facts)
    record_same_subject(gate, facts)
    for metric in ("exact_match", "ES"):
        note = f"one subject {same[metric]}, distinct subjects {distinct[metric]}"
        gate.judge(metric, same[metric].value, note=note)
        gate.judge(f"{metric}_gap", same[metric].value - distinct[metric].value, note=note)
