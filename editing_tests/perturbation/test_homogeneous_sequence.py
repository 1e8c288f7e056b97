# SPDX-License-Identifier: Apache-2.0
"""Edits of one subject, one after the other."""

from __future__ import annotations

import pytest

from kedit.gate import Gate, homogeneous_gaps, record_first_edit


@pytest.mark.editing_property("perturbation.homogeneous-sequence", needs=("sequential",), long=True, knowledge=True)
@pytest.mark.parametrize("edits", [8], ids=lambda n: f"{n}-edits")
def test_homogeneous_sequence(gate: Gate, edits: int) -> None:
    """The first of several single edits on one subject survives as often as the first of as many edits on distinct
    subjects (S2RKE, section 5.1: later edits of a subject overwrite earlier ones). Paired over trials: both
    sequences begin with the same edit. One later edit overwrites it in too few trials to tell good from bad, so what
    is left after two edits is in the report and not judged."""
    found = homogeneous_gaps(gate, edits)
    record_first_edit(gate)
    for metric in ("probability", "exact_match"):
        gate.judge(f"{metric}_gap", found[metric].gap.value, note=str(found[metric]))
