# SPDX-License-Identifier: Apache-2.0
"""One fact, again and again."""

from __future__ import annotations

import math

import pytest

from kedit.gate import Gate, repeated_edit


@pytest.mark.editing_property("longevity.repeat", needs=("sequential",), knowledge=True)
def test_repeat(gate: Gate) -> None:
    """Editing one fact twenty times converges: the change after twenty calls is hardly larger than after ten
    (D4S, equation 13: sums over a repeated fact approach a limit; adding the same update again would double it),
    and the fact is still known."""
    found = repeated_edit(gate)
    half, whole = (math.hypot(*found.changes[count].values()) for count in (10, 20))
    gate.judge("growth", whole / half, note=f"relative change {half:.3g} after 10 calls, {whole:.3g} after 20")
    gate.judge("exact_match", float(found.after_all[-1]))
