# SPDX-License-Identifier: Apache-2.0
"""Invented rows for tests of what is made from rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kedit.experiments.tidy import Measured


def rows_of(
    values: Callable[[str, str, int, str, int], float],
    *,
    experiment: str = "invented",
    model: str = "tiny-a",
    series: Sequence[str] = ("MEMIT",),
    arms: Sequence[str] = ("same", "different"),
    places: Sequence[int] = (0,),
    metrics: Sequence[str] = ("EM",),
    repeats: int = 5,
) -> list[Measured]:
    """A full grid; `values(series, arm, place, metric, repeat)`."""
    return [
        Measured(experiment, model, name, name.lower(), arm, place, metric, n, values(name, arm, place, metric, n))
        for name in series
        for arm in arms
        for place in places
        for n in range(repeats)
        for metric in metrics
    ]
