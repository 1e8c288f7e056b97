# SPDX-License-Identifier: Apache-2.0
"""The same number of facts, on fewer subjects."""

from __future__ import annotations

import pytest

from kedit.gate import Gate, density_scores


@pytest.mark.editing_property("perturbation.density", needs=("batch",), long=True, knowledge=True)
@pytest.mark.parametrize("per_subject", [2, 3], ids=lambda n: f"{n}-per-subject")
def test_density(gate: Gate, per_subject: int) -> None:
    """Thirty facts do not score lower when they crowd on fewer subjects (S2RKE, section 4.2: the score
    difference SD falls with the number of facts per subject). S is the harmonic mean of ES, PS and NS."""
    dense, sparse = density_scores(gate, per_subject), density_scores(gate, 1)
    for metric, name in (("S", "SD"), ("exact_match", "exact_match_gap")):
        note = f"{per_subject} per subject {dense[metric]}, one per subject {sparse[metric]}"
        gate.judge(name, dense[metric].value - sparse[metric].value, note=note)
