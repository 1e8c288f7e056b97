# SPDX-License-Identifier: Apache-2.0
"""The figure of the README: what sharing a subject costs, in a batch and in a sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kedit.experiments.panels import COLOURS
from kedit.reports.cells import Cell
from kedit.reports.protocols import BATCH_SIZES, STREAM_CHECKPOINTS
from kedit.reports.table import Spread, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FigureError", "draw_figure", "series"]


class FigureError(RuntimeError):
    """A figure that cannot be drawn."""


def series(cells: Sequence[Cell], editor: str, kind: str, places: Sequence[int]) -> dict[int, Spread]:
    """Exact match of one editor in the settings `kind-place`, over draws; places without cells are left out."""
    found: dict[int, Spread] = {}
    for place in places:
        values = [cell.metrics["EM"] for cell in cells if cell.editor == editor and cell.setting == f"{kind}-{place}"]
        if values:
            found[place] = spread(values)
    return found


def draw_figure(cells: Sequence[Cell], path: Path, one_by_one: Sequence[str] = ()) -> None:
    """Draw exact match against facts per subject and against the length of a sequence, for one model.

    Args:
        cells: cells of one model.
        path: SVG or PNG file to write.
        one_by_one: editors whose batches are sequences of single edits; the legend says so.

    Raises:
        FigureError: matplotlib is not installed, or the cells are of several models.
    """
    models = {cell.model for cell in cells}
    if len(models) != 1:
        raise FigureError(f"a figure shows one model, got cells of {len(models)}; choose one")
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise FigureError("the figure needs matplotlib; install kedit[figures]") from error
    editors = list(dict.fromkeys(cell.editor for cell in cells))
    colours = {editor: COLOURS[i % len(COLOURS)] for i, editor in enumerate(editors)}
    # Same cells, same bytes: no date, no random ids.
    with mpl.rc_context({"svg.hashsalt": "kedit", "svg.fonttype": "path", "font.size": 10}):
        figure = Figure(figsize=(10, 4.2), layout="constrained", facecolor="white")
        left, right = figure.subplots(1, 2, sharey=True)
        _panel(left, cells, colours, ("same", "distinct"), BATCH_SIZES)
        left.set(xlabel="facts in one call", ylabel="exact match")
        _panel(right, cells, colours, ("returning", "sequence"), STREAM_CHECKPOINTS)
        right.set(xlabel="edits so far")
        left.set_title("One batch\nsolid: one subject, dashed: distinct subjects", fontsize=10)
        right.set_title(
            "A sequence of single edits\nsolid: 40 subjects in three rounds, dashed: distinct subjects", fontsize=10
        )
        names = [f"{editor} (one by one)" if editor in one_by_one else editor for editor in editors]
        lines = [left.plot([], [], color=colours[editor], marker="o", markersize=4)[0] for editor in editors]
        figure.legend(lines, names, loc="outside upper center", ncols=len(names), frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=150)


def _panel(
    axes: Axes, cells: Sequence[Cell], colours: Mapping[str, str], kinds: tuple[str, str], places: Sequence[int]
) -> None:
    """Lines of the first kind solid with a band of one standard deviation, of the second dashed."""
    for editor, colour in colours.items():
        for kind, style in zip(kinds, ("-", "--"), strict=True):
            points = series(cells, editor, kind, places)
            means = [point.mean for point in points.values()]
            axes.plot(list(points), means, style, color=colour, marker="o" if style == "-" else None, markersize=4)
            if style == "-":
                low = [point.mean - (point.deviation or 0.0) for point in points.values()]
                high = [point.mean + (point.deviation or 0.0) for point in points.values()]
                axes.fill_between(list(points), low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xticks(list(places))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
