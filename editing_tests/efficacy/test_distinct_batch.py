# SPDX-License-Identifier: Apache-2.0
"""Many facts of distinct subjects in one call."""

from __future__ import annotations

import pytest

from kedit.gate import Gate, distinct_batches


@pytest.mark.editing_property("efficacy.distinct-batch", needs=("batch",), knowledge=True)
def test_distinct_batch(gate: Gate) -> None:
    """Thirty facts of thirty subjects, edited in one call, all take (Meng et al. 2023, MEMIT, section 5.2); means
    over draws."""
    found = distinct_batches(gate).scores
    for metric in ("exact_match", "ES", "PS"):
        gate.judge(metric, found[metric].value, note=f"over draws: {found[metric]}")
