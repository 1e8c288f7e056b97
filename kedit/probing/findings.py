# SPDX-License-Identifier: Apache-2.0
"""What a check found: one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "ProbeError", "layer_text"]

Verdict = Literal["ok", "note", "problem"]


class ProbeError(ValueError):
    """A probe that cannot be done as asked; the message says what to give instead."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: its name.
        verdict: `ok`; `note` for what is worth knowing and harms nothing here; `problem` for what makes edits wrong.
        text: what was found and what it means.
    """

    check: str
    verdict: Verdict
    text: str

    @property
    def line(self) -> str:
        """For people."""
        return f"{self.verdict:8}{self.check}: {self.text}"


def layer_text(layers: Sequence[int]) -> str:
    """`layer 3`, `layers 0-4`, `layers 0, 2`."""
    if len(layers) == 1:
        return f"layer {layers[0]}"
    if len(layers) > 2 and list(layers) == list(range(layers[0], layers[-1] + 1)):
        return f"layers {layers[0]}-{layers[-1]}"
    return f"layers {', '.join(map(str, layers))}"
