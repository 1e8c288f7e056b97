# SPDX-License-Identifier: Apache-2.0
"""One fact at a time."""

from __future__ import annotations

import statistics

import pytest

from kedit.gate import Gate, single_edits


@pytest.mark.editing_property("efficacy.single", knowledge=True)
def test_single(gate: Gate) -> None:
    """An edit of one fact takes: the model decodes the new object, prefers it to the true one, also when asked
    otherwise (Meng et al. 2022, ROME, section 3.4: efficacy and paraphrase scores)."""
    found = single_edits(gate).found
    gate.judge("exact_match", statistics.fmean(one.em for one in found))
    gate.judge("ES", statistics.fmean(one.es for one in found))
    gate.judge("PS", statistics.fmean(one.ps for one in found))
