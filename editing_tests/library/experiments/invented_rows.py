# SPDX-License-Identifier: Apache-2.0
"""Invented rows for tests of what is made from rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from kedit.experiments.experiment import Claim, Experiment, Figure, Series
from kedit.experiments.tidy import Measured

BARS = Figure("bars", ("EM",))


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


def experiment_of(
    name: str = "invented",
    *,
    paper: Literal["S2RKE", "MEMIT-Merge", "D4S", "kedit"] = "S2RKE",
    item: str = "figure 3",
    series: Sequence[str] = ("MEMIT",),
    figure: Figure = BARS,
    claims: Sequence[Claim] = (),
    note: str = "",
) -> Experiment:
    """An experiment that those rows may be of."""
    return Experiment(
        name=name,
        paper=paper,
        item=item,
        title="What it shows",
        series=tuple(Series(label, "invented") for label in series),
        figure=figure,
        claims=tuple(claims),
        repeats=5,
        note=note,
    )
