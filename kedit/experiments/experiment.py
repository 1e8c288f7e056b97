# SPDX-License-Identifier: Apache-2.0
"""What an experiment is: a figure or a table of a paper, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

__all__ = ["Claim", "Experiment", "ExperimentError", "Figure", "Quantity", "Row", "Series"]

Paper = Literal["S2RKE", "MEMIT-Merge", "D4S", "kedit"]
Layout = Literal["bars", "lines", "metrics", "scatter"]
Direction = Literal["below", "above", "equal", "falling", "rising"]


class ExperimentError(ValueError):
    """An experiment that does not exist, or cannot be run or reported as asked."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measured number.

    Attributes:
        metric: name of the metric.
        value: the number.
        arm: the condition it was measured in, such as `same` or `different`.
        place: the x axis, such as edits made so far or facts in the batch.
    """

    metric: str
    value: float
    arm: str = ""
    place: int = 0


@dataclass(frozen=True, slots=True)
class Series:
    """One editor of an experiment and what is measured of it.

    Attributes:
        label: how table and figure call it.
        protocol: name in `PROTOCOLS`.
        editor: a name that `load_editor` takes; empty where nothing is edited.
        config: settings of the editor.
        parameters: arguments of the protocol, plain JSON values.
    """

    label: str
    protocol: str
    editor: str = ""
    config: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number of an experiment on one model: a metric's mean over repeats, and over places if none is named.

    The metric `S` is not averaged: it is the harmonic mean of the means of ES, PS and NS (S2RKE, appendix C.3). The
    series `*` stands for all of them together.
    """

    metric: str
    series: str
    arm: str = ""
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of a paper that the experiment's numbers bear out or not.

    The effect is `left - right`, or `left` alone. It is claimed to be `below` -by, `above` by, or `equal` to 0 within
    `by`; `falling` claims a rank correlation of the two metrics over repeats, arms and places below -by, `rising` one
    above by.

    Attributes:
        text: the sentence, in our words.
        source: section and figure or table.
        direction: see above.
        left, right: what is compared.
        by: the least effect that counts, in units of the metric.
        published: the paper's own numbers or what its drawing shows.
        models: full models that the paper shows it on.
    """

    text: str
    source: str
    direction: Direction
    left: Quantity
    right: Quantity | None = None
    by: float = 0.0
    published: str = ""
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """How the numbers are drawn: a column of panels for each model, a row for each of `metrics`.

    Attributes:
        layout: `bars` groups the arms of each series side by side and draws the difference of two as a line; `lines`
            draws a line a series and arm over places; `metrics` groups the arms of each metric side by side in one
            panel; `scatter` sets the second metric against the first, a point a repeat and arm.
        metrics: what is drawn.
        x_label: what `place` counts, in the figure and in tables.
        arms: those drawn; all if empty.
        places: those drawn; all if empty.
    """

    layout: Layout
    metrics: tuple[str, ...]
    x_label: str = ""
    arms: tuple[str, ...] = ()
    places: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A figure or a table of a paper.

    Attributes:
        name: as on the command line, such as `s2rke-figure-3`.
        paper: whose it is.
        item: `figure 3`, `table 1`, ...
        title: one line that says what it shows.
        note: how the tiny version differs from the paper's, for the reader of the report.
        series: rows of the grid.
        repeats: number of seeded draws of facts.
        models: tiny models it runs on by default; all four if empty.
        figure: how it is drawn.
        claims: what the paper concludes from it.
    """

    name: str
    paper: Paper
    item: str
    title: str
    series: tuple[Series, ...]
    figure: Figure
    claims: tuple[Claim, ...]
    repeats: int
    models: tuple[str, ...] = ()
    note: str = ""
