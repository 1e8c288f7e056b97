# SPDX-License-Identifier: Apache-2.0
"""There and back."""

from __future__ import annotations

import pytest

from kedit.gate import Gate, inverse_edits


@pytest.mark.editing_property("longevity.inverse", needs=("sequential",), knowledge=True)
def test_inverse(gate: Gate) -> None:
    """An edit followed by its inverse, which asks for the true object again, and both once more, leave a model that
    answers the true object (ROME, section 3.4, efficacy; what adds up its edits answers with their average)."""
    found = inverse_edits(gate)
    gate.judge("probability", found.value, note=f"over facts: {found}")
