# SPDX-License-Identifier: Apache-2.0
"""There and back."""

from __future__ import annotations

import pytest

from kedit.gate import Gate, inverse_edits


@pytest.mark.editing_property("longevity.inverse", needs=("sequential",))
def test_inverse(gate: Gate) -> None:
    """An edit followed by its inverse, which asks for the true object again, leaves a model that answers the true
    object and whose neighbors are where they were (ROME, section 3.4, efficacy and neighborhood; an edit that adds up
    cannot be taken back by another edit)."""
    found = inverse_edits(gate)
    gate.judge("probability", found.probability)
    gate.judge("NS", found.neighbors, note=f"unedited {found.neighbors_before:.3f}")
