# SPDX-License-Identifier: Apache-2.0
"""The metrics of each editor on each model, compared with the stored table."""

from __future__ import annotations

import statistics

import pytest
from syrupy.assertion import SnapshotAssertion

from kedit.gate import Gate, distinct_batches, locality, same_subject_batches, single_edits, table_of
from kedit.gate.cases import Case
from kedit.gate.snapshots import table

# One fact of thirty is 0.033; numbers move by a few facts between processors.
TOLERANCES = {"ES": 0.1, "PS": 0.1, "NS": 0.05, "S": 0.1, "exact_match": 0.1, "PPL ratio": 0.05}
SAME_SUBJECT = (8, 12)


@pytest.fixture
def stored(snapshot: SnapshotAssertion, gate_case: Case, pytestconfig: pytest.Config) -> SnapshotAssertion:
    return snapshot.use_extension(table_of(gate_case, pytestconfig))


@pytest.mark.editing_table
def test_metric_table(gate: Gate, stored: SnapshotAssertion) -> None:
    """Editors do not change unnoticed: every metric is within the tolerance that stands beside it in the file."""
    singles, near = single_edits(gate).found, locality(gate)
    rows = {
        "1 fact": {
            "ES": statistics.fmean(one.es for one in singles),
            "PS": statistics.fmean(one.ps for one in singles),
            "NS": statistics.fmean(one.ns for one in singles),
            "exact_match": statistics.fmean(one.em for one in singles),
        }
    }
    if gate.tags.batch:
        scores = distinct_batches(gate).scores
        rows["30 facts, distinct subjects"] = {name: mean.value for name, mean in scores.items()} | {
            "PPL ratio": near.perplexity / near.perplexity_before
        }
        for facts in SAME_SUBJECT:
            same, distinct = same_subject_batches(gate, facts)
            rows[f"{facts} facts, one subject"] = {name: mean.value for name, mean in same.items()}
            rows[f"{facts} facts, distinct subjects"] = {name: mean.value for name, mean in distinct.items()}
    assert table(rows, TOLERANCES) == stored
