# SPDX-License-Identifier: Apache-2.0
"""The figure of an experiment, in the layout that it declares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedit.experiments.experiment import Experiment, ExperimentError
from kedit.experiments.panels import (
    COLOURS,
    MARKERS,
    STYLES,
    Panel,
    bars,
    label_of,
    lines,
    metric_bars,
    scatter,
    series_marker,
)
from kedit.experiments.samples import Samples, by_model
from kedit.experiments.tidy import Measured
from kedit.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["draw_experiment"]

# Inches; at 100 dots an inch a figure is 1200 pixels wide.
WIDTH, DOTS = 12.0, 100
HEIGHTS = {"bars": 2.7, "lines": 2.7, "metrics": 3.0, "scatter": 3.3}
# Models side by side, so that a panel stays wide enough for its labels.
ABREAST = {"bars": 4, "lines": 4, "metrics": 2, "scatter": 4}


def draw_experiment(experiment: Experiment, rows: Iterable[Measured], path: Path) -> None:
    """Draw an experiment's rows; equal rows give equal bytes.

    Args:
        experiment: whose figure.
        rows: its rows, of any models.
        path: SVG or PNG file to write.

    Raises:
        ExperimentError: a metric that the figure shows was not measured, the file is neither SVG nor PNG, or matplotlib
            is not installed.
    """
    if path.suffix not in (".svg", ".png"):
        raise ExperimentError(f"{path}: figures are .svg or .png files; name one")
    wanted = experiment.figure
    models = by_model(
        row
        for row in rows
        if (not wanted.arms or row.arm in wanted.arms) and (not wanted.places or row.place in wanted.places)
    )
    metrics = _metrics(experiment, models.values())
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ExperimentError("the figure needs matplotlib; install kedit[figures]") from error
    series, arms = _series(experiment, models.values()), _arms(models.values())
    layout = experiment.figure.layout
    # A row of the grid: its name, and what its panels show.
    shown: Sequence[tuple[str, ...]]
    if layout == "metrics":
        shown = [metrics for _ in series]
    elif layout == "scatter":
        shown = [metrics[:2]]
    else:
        shown = [(metric,) for metric in metrics]
    places = tuple(sorted({place for samples in models.values() for place in samples.places()}))
    settings: dict[Any, Any] = {"svg.hashsalt": "kedit", "svg.fonttype": "path", "font.size": 10, "axes.titlesize": 11}
    with mpl.rc_context(settings):
        abreast = min(len(models), ABREAST[layout])
        bands = -(-len(models) // abreast)
        height = HEIGHTS[layout] * len(shown) * bands + 0.6
        figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="white")
        grid = figure.subplots(len(shown) * bands, abreast, squeeze=False)
        for axes in grid.flat:
            axes.set_visible(False)
        for i, (model, samples) in enumerate(models.items()):
            band, column = divmod(i, abreast)
            for j, names in enumerate(shown):
                axes = grid[band * len(shown) + j][column]
                axes.set_visible(True)
                own = series if layout != "metrics" else (series[j],)
                panel = Panel(samples, own, arms, names, tuple(models.values()), places)
                _PANELS[layout](axes, panel)
                if j == 0:
                    axes.set_title(model)
                if layout == "metrics" and len(series) > 1:
                    axes.set_title(f"{model}, {series[j]}")
                _axis_labels(axes, experiment, names, last=j == len(shown) - 1, first=column == 0)
        handles, labels = _legend(experiment, series, arms, places)
        if labels:
            widest = max(len(label) for label in labels)
            lines_needed = -(-len(labels) // max(1, int((WIDTH - 0.5) / (0.09 * widest + 0.7))))
            ncols = -(-len(labels) // lines_needed)  # full lines, but for the last
            figure.legend(handles, labels, loc="outside upper center", ncols=ncols, frameon=False)
        metadata = {"Date": None} if path.suffix == ".svg" else None
        kind = path.suffix.removeprefix(".")
        write_atomically(path, lambda part: figure.savefig(part, format=kind, metadata=metadata, dpi=DOTS))


_PANELS: Mapping[str, Callable[[Axes, Panel], None]] = {
    "bars": bars,
    "lines": lines,
    "metrics": metric_bars,
    "scatter": scatter,
}


def _metrics(experiment: Experiment, models: Iterable[Samples]) -> tuple[str, ...]:
    wanted = experiment.figure.metrics
    measured = {metric for samples in models for metric in samples.metrics()}
    lacking = [metric for metric in wanted if metric not in measured]
    needed = 2 if experiment.figure.layout == "scatter" else 1
    if len(wanted) < needed:
        raise ExperimentError(f"{experiment.name}: its figure names {len(wanted)} metrics; it needs {needed}")
    if lacking:
        raise ExperimentError(f"{experiment.name}: {', '.join(lacking)} of its figure was not measured; run it first")
    return wanted


def _series(experiment: Experiment, models: Iterable[Samples]) -> tuple[str, ...]:
    """Series with rows, in the order declared; what is not declared comes last."""
    present = dict.fromkeys(name for samples in models for name in samples.series())
    declared = [series.label for series in experiment.series if series.label in present]
    return tuple(dict.fromkeys([*declared, *present]))


def _arms(models: Iterable[Samples]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(arm for samples in models for arm in samples.arms()))


def _axis_labels(axes: Axes, experiment: Experiment, names: Sequence[str], *, last: bool, first: bool) -> None:
    layout = experiment.figure.layout
    if layout == "scatter":
        axes.set_xlabel(label_of(names[0]))
        if first:
            axes.set_ylabel(label_of(names[1]))
    elif first:
        # Metrics side by side have names below them; those with another unit stand on the right.
        axes.set_ylabel("share" if layout == "metrics" else label_of(names[0]))
    if layout == "lines" and last:
        axes.set_xlabel(experiment.figure.x_label)


def _legend(
    experiment: Experiment, series: Sequence[str], arms: Sequence[str], places: Sequence[int]
) -> tuple[list[Artist], list[str]]:
    """Handles and labels; colours mean series in `lines` and arms elsewhere."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    layout = experiment.figure.layout
    named = [arm for arm in arms if arm]
    handles: list[Artist] = []
    if layout == "lines":
        handles = [
            Line2D([], [], color=COLOURS[i % len(COLOURS)], marker=series_marker(i, places), ms=4)
            for i in range(len(series))
        ]
        if len(named) < 2:
            return handles, list(series)
        handles += [Line2D([], [], color="#555555", linestyle=STYLES[arms.index(arm) % len(STYLES)]) for arm in named]
        return handles, [*series, *named]
    if layout == "scatter":
        handles = [Line2D([], [], color=COLOURS[arms.index(arm) % len(COLOURS)], marker="o", ls="") for arm in named]
        handles.append(Line2D([], [], color="#555555", marker="o", ms=10, mec="black", mew=1.4, ls=""))
        named.append("mean")
        if len(series) < 2:
            return handles, named
        handles += [
            Line2D([], [], color="#555555", marker=MARKERS[i % len(MARKERS)], ls="") for i in range(len(series))
        ]
        return handles, [*named, *series]
    handles = [Patch(color=COLOURS[arms.index(arm) % len(COLOURS)]) for arm in named]
    labels = list(named)
    if layout == "bars" and len(arms) == 2:
        handles.append(Line2D([], [], color="black", marker="D", ms=4, lw=1.2))
        labels.append(f"difference: {arms[0]} − {arms[1]}")
    return handles, labels
