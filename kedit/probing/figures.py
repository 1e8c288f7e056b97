# SPDX-License-Identifier: Apache-2.0
"""The figure of a causal tracing: layers by token roles, for hidden state, MLP and attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kedit.files import write_atomically
from kedit.probing.findings import ProbeError
from kedit.probing.tracing import KINDS, ROLES, Tracing

__all__ = ["check_figure", "draw_tracing"]

# Inches; at 100 dots an inch a figure is 1200 pixels wide.
WIDTH, HEIGHT, DOTS = 12.0, 4.1, 100
TITLES: Mapping[str, str] = MappingProxyType(
    {"block": "hidden state", "value": "MLP output", "attention": "attention output"}
)
# Cells of deep models are too narrow for numbers.
NUMBERED = 12


def check_figure(path: Path) -> None:
    """Refuse a figure before anything is measured.

    Raises:
        ProbeError: the file is neither SVG nor PNG, or matplotlib is not installed.
    """
    if path.suffix not in (".svg", ".png"):
        raise ProbeError(f"{path}: figures are .svg or .png files; name one")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ProbeError("the figure needs matplotlib; install kedit[figures]") from error


def draw_tracing(tracing: Tracing, name: str, path: Path, recommended: Sequence[int] = ()) -> None:
    """Draw average indirect effects; equal tracings give equal bytes.

    Args:
        tracing: what was measured.
        name: the model's, for the title.
        path: SVG or PNG file to write.
        recommended: layers to mark at the MLP and the subject's last token.

    Raises:
        ProbeError: as `check_figure`.
    """
    check_figure(path)
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    average = tracing.average
    top = max(float(average.nan_to_num().max()), 1e-6)
    settings: dict[Any, Any] = {"svg.hashsalt": "kedit", "svg.fonttype": "path", "font.size": 10, "axes.titlesize": 11}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained", facecolor="white")
        panels = figure.subplots(1, len(KINDS), sharey=True)
        colours = mpl.colormaps["Blues"].with_extremes(bad="#eeeeee")
        for axes, kind, values in zip(panels, KINDS, average, strict=True):
            image = axes.imshow(
                values.T.numpy(), cmap=colours, vmin=0.0, vmax=top, aspect="auto", interpolation="nearest"
            )
            blocks = "one layer" if kind == "block" or tracing.window == 1 else f"{tracing.window} layers around"
            axes.set_title(f"{TITLES[kind]}, {blocks}")
            axes.set_xlabel("layer")
            step = -(-len(tracing.layers) // 16)
            axes.set_xticks(range(0, len(tracing.layers), step), [str(layer) for layer in tracing.layers[::step]])
            axes.set_yticks(range(len(ROLES)), ROLES)
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
            if len(tracing.layers) <= NUMBERED:
                for i, column in enumerate(values.tolist()):
                    for j, value in enumerate(column):
                        if value == value:
                            text = f"{value:.2f}".replace("-0.00", "0.00")
                            colour = "white" if value > 0.6 * top else "#333333"
                            axes.text(i, j, text, ha="center", va="center", color=colour, fontsize=8)
            if kind == "value" and recommended:
                left, right = tracing.layers.index(recommended[0]), tracing.layers.index(recommended[-1])
                box = (left - 0.5, 1.5)
                axes.add_patch(
                    Rectangle(box, right - left + 1, 1, fill=False, edgecolor="#D55E00", linewidth=2, clip_on=False)
                )
        bar = figure.colorbar(image, ax=panels, pad=0.01)
        bar.set_label("average indirect effect (probability)")
        bar.outline.set_visible(False)
        marked = "; orange: recommended layers" if recommended else ""
        figure.suptitle(
            f"{name}: {len(tracing.facts)} facts, probability of the object {float(tracing.clean.mean()):.2f}, "
            f"{float(tracing.corrupted.mean()):.2f} under noise{marked}",
            fontsize=11,
        )
        suffix, metadata = path.suffix.removeprefix("."), {"Date": None} if path.suffix == ".svg" else None
        write_atomically(path, lambda part: figure.savefig(part, format=suffix, metadata=metadata, dpi=DOTS))
