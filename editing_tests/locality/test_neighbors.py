# SPDX-License-Identifier: Apache-2.0
"""What an edit must leave alone."""

from __future__ import annotations

import pytest

from kedit.gate import Gate, locality, single_edits


@pytest.mark.editing_property("locality.neighbors", knowledge=True)
def test_neighbors(gate: Gate) -> None:
    """Other subjects with the same true object keep it (Meng et al. 2022, ROME, section 3.4: neighborhood score).

    Judged after batches of thirty facts, or after single edits for an editor without batches; the unedited model's
    own score stands in the note."""
    found = locality(gate)
    if gate.real:  # whose neighbors are not all known
        fall = found.neighbors_before - found.neighbors
        gate.judge("NS_fall", fall, note=f"from {found.neighbors_before:.3f} to {found.neighbors:.3f}")
    else:
        gate.judge("NS", found.neighbors, note=f"unedited {found.neighbors_before:.3f}")


@pytest.mark.editing_property("locality.perplexity", knowledge=True)
def test_perplexity(gate: Gate) -> None:
    """Unrelated text stays as likely as it was: perplexity of held-out sentences over that of the unedited model
    (D4S, equation 1; Gupta et al. 2024 on perplexity as a sign of collapse)."""
    found = locality(gate)
    gate.judge("perplexity_ratio", found.perplexity / found.perplexity_before, note="edited over unedited")


@pytest.mark.editing_property("locality.essence", knowledge=True)
def test_essence(gate: Gate) -> None:
    """What the model would say of the subject otherwise stays: after a single edit, the next token behind "{subject} is
    a" is as likely as before, whatever the fact was about (ROME, section 3.1, equation 4: the divergence that its value
    is held back by)."""
    found = single_edits(gate).drift
    gate.judge("divergence", found.value, note=f"over edits: {found}")
