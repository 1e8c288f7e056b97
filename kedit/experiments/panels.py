# SPDX-License-Identifier: Apache-2.0
"""The panels of a figure: bars, lines over places, metrics side by side, and one metric against another."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from kedit.experiments.experiment import Quantity
from kedit.experiments.samples import Samples
from kedit.metrics import (
    AKD,
    CHOICE,
    EM,
    ES,
    FROBENIUS,
    KEY_COSINE,
    L1,
    NS,
    PAR,
    PPL,
    PS,
    RELATIVE_CHANGE,
    SD,
    SPE,
    Metric,
    S,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "COLOURS",
    "MARKERS",
    "STYLES",
    "Panel",
    "bars",
    "label_of",
    "lines",
    "metric_bars",
    "scatter",
    "series_marker",
]

# Okabe and Ito's colours, which stay apart for colour-blind readers.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")
MARKERS = ("o", "^", "s", "D", "v", "P")
_METRICS: tuple[Metric[...], ...] = (
    AKD, EM, ES, FROBENIUS, KEY_COSINE, L1, NS, PPL, PS, RELATIVE_CHANGE, SD, S,
)  # fmt: skip
# What rows call otherwise than the metric calls itself.
_OTHERS: Mapping[str, Metric[...]] = MappingProxyType({"CHOICE": CHOICE, "PAR": PAR, "SPE": SPE})
_UNITS: Mapping[str, str] = MappingProxyType(
    {metric.name: metric.unit for metric in _METRICS} | {name: metric.unit for name, metric in _OTHERS.items()}
)
# More points than this need no marker.
_MARKED = 15


@dataclass(frozen=True, slots=True)
class Panel:
    """What one panel shows.

    Attributes:
        samples: numbers of its model.
        series: labels, in the order of their colours.
        arms: all arms of the figure, in the order of colours or line styles.
        metrics: the metrics shown.
        row: samples of every panel of the row, which share a scale where it is a share.
        places: all places of the figure.
    """

    samples: Samples
    series: tuple[str, ...]
    arms: tuple[str, ...]
    metrics: tuple[str, ...]
    row: tuple[Samples, ...]
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Point:
    """Mean and standard error over repeats; numbers that are not finite are not drawn."""

    mean: float = math.nan
    error: float = 0.0


def label_of(metric: str) -> str:
    """Name and unit of a metric, for an axis."""
    unit = _UNITS.get(metric, "").split(",")[0].split(" (")[0]
    return f"{metric} ({unit})" if unit and unit not in metric else metric


def series_marker(i: int, places: Sequence[int]) -> str:
    """The marker of the i-th line: none on dense lines; another one where colours come round again."""
    again = i // len(COLOURS)
    return MARKERS[again % len(MARKERS)] if again or len(places) <= _MARKED else ""


def bars(axes: Axes, panel: Panel) -> None:
    """Arms of each series side by side; where there are two, the first minus the second as a line."""
    (metric,) = panel.metrics
    width = 0.8 / len(panel.arms)
    for i, arm in enumerate(panel.arms):
        points = [_point(panel.samples, Quantity(metric, name, arm)) for name in panel.series]
        at = [place + (i - (len(panel.arms) - 1) / 2) * width for place in range(len(panel.series))]
        _bars(axes, at, points, width, COLOURS[i % len(COLOURS)])
    if len(panel.arms) == 2:
        differences = _differences(panel.samples, panel, metric)
        axes.plot(
            range(len(panel.series)), differences, color="black", marker="D", markersize=5, markeredgecolor="white",
            linewidth=1.2, zorder=4,
        )  # fmt: skip
    axes.axhline(0, color="black", linewidth=0.8)
    turned = sum(len(name) + 2 for name in panel.series) * len(panel.row) > 100
    axes.set_xticks(
        range(len(panel.series)), panel.series,
        rotation=40 if turned else 0, ha="right" if turned else "center", rotation_mode="anchor",
    )  # fmt: skip
    axes.set_xlim(-0.6, len(panel.series) - 0.4)
    _finish(axes, panel, metric, axis="y", baseline=True)
    if len(panel.arms) == 2 and _share(panel.row, metric):
        lowest = [value for own in panel.row for value in _differences(own, panel, metric) if math.isfinite(value)]
        axes.set_ylim(bottom=min([0.0, *(value - 0.08 for value in lowest)]))


def lines(axes: Axes, panel: Panel) -> None:
    """Means over places with a band of one standard error: a colour a series, a style an arm."""
    (metric,) = panel.metrics
    for i, name in enumerate(panel.series):
        for j, arm in enumerate(panel.arms):
            found = {
                place: _point(panel.samples, Quantity(metric, name, arm, place))
                for place in panel.samples.places(name, arm)
            }
            colour, style = COLOURS[i % len(COLOURS)], STYLES[j % len(STYLES)]
            means = [point.mean for point in found.values()]
            if not any(math.isfinite(mean) for mean in means):
                continue
            axes.plot(
                list(found), means, style, color=colour, linewidth=1.5, markersize=4,
                marker=series_marker(i, panel.places), markerfacecolor=colour if j == 0 else "white",
            )  # fmt: skip
            low = [point.mean - point.error for point in found.values()]
            high = [point.mean + point.error for point in found.values()]
            axes.fill_between(list(found), low, high, color=colour, alpha=0.15, linewidth=0)
    _places(axes, panel.places)
    _finish(axes, panel, metric, axis="both")


def metric_bars(axes: Axes, panel: Panel) -> None:
    """Arms of each metric side by side; what has no common scale with shares stands on the right with its own."""
    (name,) = panel.series
    shares = [metric for metric in panel.metrics if not _logarithmic(panel.row, metric)]
    others = [metric for metric in panel.metrics if metric not in shares]
    width = 0.8 / len(panel.arms)
    right = axes.twinx() if others else None
    for i, arm in enumerate(panel.arms):
        shift = (i - (len(panel.arms) - 1) / 2) * width
        colour = COLOURS[i % len(COLOURS)]
        points = [_point(panel.samples, Quantity(metric, name, arm)) for metric in shares]
        _bars(axes, [place + shift for place in range(len(shares))], points, width, colour)
        if right is not None:
            # On a logarithmic scale bars have no foot to stand on.
            points = [_point(panel.samples, Quantity(metric, name, arm)) for metric in others]
            at = [len(shares) + place + shift for place in range(len(others))]
            right.errorbar(
                at, [point.mean for point in points], [point.error for point in points],
                color=colour, fmt="o", markersize=7, capsize=3,
            )  # fmt: skip
    axes.set_xticks(range(len(panel.metrics)), [*shares, *others])
    axes.set_xlim(-0.6, len(panel.metrics) - 0.4)
    _finish(axes, panel, shares[0] if shares else "", axis="y", baseline=True)
    if right is not None:
        axes.axvline(len(shares) - 0.5, color="#999999", linewidth=0.8)
        _log_y(right, [_mean(own, Quantity(m, name, arm)) for own in panel.row for m in others for arm in panel.arms])
        right.set_ylabel(", ".join(label_of(metric) for metric in others))
        right.spines["top"].set_visible(False)


def scatter(axes: Axes, panel: Panel) -> None:
    """The second metric against the first, a point a repeat: a colour an arm, a marker a series; means are large."""
    for i, name in enumerate(panel.series):
        for j, arm in enumerate(panel.arms):
            wanted = [Quantity(metric, name, arm) for metric in panel.metrics]
            if not all(panel.samples.has(quantity) for quantity in wanted):
                continue
            x, y = (panel.samples.values(quantity) for quantity in wanted)
            both = sorted(x.keys() & y.keys())
            axes.scatter(
                [x[n] for n in both], [y[n] for n in both], s=36, color=COLOURS[j % len(COLOURS)],
                marker=MARKERS[i % len(MARKERS)], alpha=0.55, linewidths=0.6, edgecolors="white",
            )  # fmt: skip
            means = [_point(panel.samples, quantity).mean for quantity in wanted]
            axes.scatter(
                means[:1], means[1:], s=110, color=COLOURS[j % len(COLOURS)], marker=MARKERS[i % len(MARKERS)],
                linewidths=1.4, edgecolors="black", zorder=3,
            )  # fmt: skip
    _finish(axes, panel, panel.metrics[1], axis="both")


def _differences(samples: Samples, panel: Panel, metric: str) -> list[float]:
    """First arm minus second, for each series."""
    first, second = panel.arms[:2]
    return [
        _point(samples, Quantity(metric, name, first)).mean - _point(samples, Quantity(metric, name, second)).mean
        for name in panel.series
    ]


def _bars(axes: Axes, at: Sequence[float], points: Sequence[_Point], width: float, colour: str) -> None:
    axes.bar(
        at, [point.mean for point in points], 0.94 * width, yerr=[point.error for point in points],
        color=colour, error_kw={"elinewidth": 1.0, "capsize": 2, "ecolor": "#333333"},
    )  # fmt: skip


def _point(samples: Samples, quantity: Quantity) -> _Point:
    if not samples.has(quantity):
        return _Point()
    values = [value for value in samples.values(quantity).values() if math.isfinite(value)]
    mean = samples.mean(quantity)
    if not math.isfinite(mean):
        return _Point()
    return _Point(mean, statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0)


def _mean(samples: Samples, quantity: Quantity) -> float:
    return _point(samples, quantity).mean


def _all(row: Sequence[Samples], metric: str) -> list[float]:
    """Every finite mean of a metric in a row of panels."""
    means = [
        _mean(samples, Quantity(metric, name, arm, place))
        for samples in row
        for name in samples.series()
        for arm in samples.arms(name)
        for place in samples.places(name, arm)
    ]
    return [mean for mean in means if math.isfinite(mean)]


def _share(row: Sequence[Samples], metric: str) -> bool:
    """Whether a metric runs from 0 to 1: by its unit, or, where it has none, by its numbers."""
    unit = _UNITS.get(metric)
    if unit is not None:
        return unit.startswith("share")
    values = _all(row, metric)
    return bool(values) and min(values) >= 0 and 0.2 < max(values) <= 1


def _logarithmic(row: Sequence[Samples], metric: str) -> bool:
    """Perplexity, and what runs over three powers of ten."""
    values = _all(row, metric)
    positive = bool(values) and min(values) > 0
    return positive and (metric == PPL.name or max(values) > 1000 * min(values))


def _finish(axes: Axes, panel: Panel, metric: str, *, axis: str, baseline: bool = False) -> None:
    if metric and _share(panel.row, metric):
        axes.set_ylim(0.0 if baseline else -0.03, 1.03)
    elif metric and _logarithmic(panel.row, metric) and not baseline:
        _log_y(axes, _all(panel.row, metric))
    axes.grid(alpha=0.3, axis=axis)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _log_y(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic scale with plain numbers at 1, 2 and 5 times powers of ten, or at powers where these are many."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    finite = [value for value in values if math.isfinite(value)]
    wide = bool(finite) and max(finite) > 100 * min(finite)
    axes.set_yscale("log")
    if finite:
        axes.set_ylim(min(finite) / 1.3, max(finite) * 1.3)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 3.0, 5.0, 7.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _places(axes: Axes, places: Sequence[int]) -> None:
    """Ticks at the places, thinned; logarithmic where the steps between places grow."""
    from matplotlib.ticker import NullFormatter, NullLocator

    if len(places) > 2 and places[0] > 0 and places[-1] - places[-2] > 4 * (places[1] - places[0]):
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xticks(list(places), [str(place) for place in places])
    elif len(places) <= 8:
        axes.set_xticks(list(places), [str(place) for place in places])
