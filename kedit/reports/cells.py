# SPDX-License-Identifier: Apache-2.0
"""What the table and the figure of results show: the metrics of one editor on one model in one setting and draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["METRICS", "Cell"]

METRICS = ("ES", "PS", "NS", "S", "EM")


@dataclass(frozen=True)
class Cell:
    """One cell of the page.

    Attributes:
        editor, model, setting: names.
        draw: number of the seeded choice of facts.
        n: facts evaluated.
        metrics: name -> value.
    """

    editor: str
    model: str
    setting: str
    draw: int
    n: int
    metrics: Mapping[str, float]
