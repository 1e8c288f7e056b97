# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import builtins
import math
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from editing_tests.library.experiments.invented_rows import experiment_of, rows_of
from kedit.experiments.experiment import Experiment, ExperimentError, Figure
from kedit.experiments.figures import draw_experiment
from kedit.experiments.panels import COLOURS, Panel, bars, label_of, lines, metric_bars, scatter, series_marker
from kedit.experiments.samples import Samples
from kedit.experiments.tidy import Measured

matplotlib = pytest.importorskip("matplotlib")


def number(series: str, arm: str, place: int, metric: str, repeat: int) -> float:
    if metric == "PPL":
        return 20.0 + place * 100 + repeat
    return (0.2 if arm == "same" else 0.8) - 0.02 * place + 0.01 * repeat + (0.1 if series == "ROME" else 0.0)


def case(layout: str, models: int = 2) -> tuple[Experiment, list[Measured]]:
    metrics = {
        "bars": ("S",), "lines": ("ES", "PPL"), "metrics": ("S", "ES", "PS", "NS", "PPL"), "scatter": ("PPL", "ES"),
    }[layout]  # fmt: skip
    figure = Figure(layout, metrics, "edits so far")  # type: ignore[arg-type]
    experiment = experiment_of(series=("MEMIT", "ROME"), figure=figure)
    rows = [
        row
        for i in range(models)
        for row in rows_of(
            number, model=f"tiny-{i}", series=("MEMIT", "ROME"), places=(1, 2, 5), metrics=("ES", "PS", "NS", "PPL"),
            repeats=3,
        )
    ]  # fmt: skip
    return experiment, rows


@pytest.mark.parametrize("layout", ["bars", "lines", "metrics", "scatter"])
def test_equal_rows_give_equal_bytes(tmp_path: Path, layout: str) -> None:
    experiment, rows = case(layout, 1)
    first, second = tmp_path / "first.svg", tmp_path / "second.svg"
    draw_experiment(experiment, rows, first)
    draw_experiment(experiment, rows, second)
    assert first.read_bytes() == second.read_bytes()
    assert ET.parse(first).getroot().get("width") == "864pt"  # 12 inches: 1200 pixels at 100 dots an inch
    assert b"<dc:date>" not in first.read_bytes()


def test_a_picture_shows_its_rows(tmp_path: Path) -> None:
    experiment, rows = case("bars")
    first, second, other = (tmp_path / f"{name}.png" for name in ("first", "second", "other"))
    draw_experiment(experiment, rows, first)
    draw_experiment(experiment, rows, second)
    draw_experiment(experiment, [Measured(**{**_fields(rows[0]), "value": 0.9}), *rows[1:]], other)
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()
    assert int.from_bytes(first.read_bytes()[16:20], "big") == 1200


def _fields(row: Measured) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Measured.__slots__}


def panel_of(layout: str, *metrics: str, rows: list[Measured] | None = None) -> Panel:
    samples = Samples(case(layout, 1)[1] if rows is None else rows)
    return Panel(samples, samples.series(), samples.arms(), metrics, (samples,), samples.places())


def axes_of() -> Any:
    from matplotlib.figure import Figure as Canvas

    return Canvas().subplots()


def test_bars_are_the_means_and_the_line_is_the_first_arm_minus_the_second() -> None:
    axes = axes_of()
    panel = panel_of("bars", "ES")
    bars(axes, panel)
    heights = [bar.get_height() for bar in axes.patches]
    mean = 0.01 - 0.02 * 8 / 3
    assert heights == pytest.approx([0.2 + mean, 0.3 + mean, 0.8 + mean, 0.9 + mean])
    (line,) = [line for line in axes.lines if line.get_marker() == "D"]
    assert line.get_ydata() == pytest.approx([-0.6, -0.6])
    assert axes.get_ylim()[0] < -0.6 and axes.get_ylim()[1] == 1.03
    assert [text.get_text() for text in axes.get_xticklabels()] == ["MEMIT", "ROME"]


def test_more_than_two_arms_have_no_difference() -> None:
    axes = axes_of()
    rows = rows_of(number, series=("a", "b"), arms=("same", "different", "more"), metrics=("EM",))
    bars(axes, panel_of("bars", "EM", rows=rows))
    assert len(axes.patches) == 6 and not [line for line in axes.lines if line.get_marker() == "D"]


def test_lines_are_means_over_places_with_a_band_of_one_standard_error() -> None:
    axes = axes_of()
    lines(axes, panel_of("lines", "ES"))
    assert len(axes.lines) == 4 and len(axes.collections) == 4
    first = axes.lines[0]
    assert list(first.get_xdata()) == [1, 2, 5]
    assert first.get_ydata() == pytest.approx([0.19, 0.17, 0.11])
    assert [line.get_linestyle() for line in axes.lines] == ["-", "--", "-", "--"]
    assert [line.get_color() for line in axes.lines] == [COLOURS[0]] * 2 + [COLOURS[1]] * 2
    band = axes.collections[0].get_paths()[0].get_extents()
    assert band.y1 == pytest.approx(0.19 + 0.01 / math.sqrt(3))


def test_perplexity_and_growing_places_are_on_logarithmic_scales() -> None:
    axes = axes_of()
    lines(axes, panel_of("lines", "PPL"))
    assert (axes.get_yscale(), axes.get_xscale()) == ("log", "linear")
    rows = rows_of(number, places=(1, 2, 5, 10, 100), metrics=("EM",))
    axes = axes_of()
    lines(axes, panel_of("lines", "EM", rows=rows))
    assert (axes.get_yscale(), axes.get_xscale()) == ("linear", "log")
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2", "5", "10", "100"]


def test_metrics_stand_side_by_side_and_perplexity_on_the_right() -> None:
    axes = axes_of()
    panel = panel_of("metrics", "PPL", "ES", "NS")
    metric_bars(axes, Panel(panel.samples, ("MEMIT",), panel.arms, panel.metrics, panel.row, panel.places))
    assert [text.get_text() for text in axes.get_xticklabels()] == ["ES", "NS", "PPL"]
    assert len(axes.patches) == 4
    _, right = axes.figure.axes
    assert right.get_yscale() == "log" and right.get_ylabel() == "PPL (tokens)"


def test_a_scatter_has_a_point_a_repeat() -> None:
    axes = axes_of()
    scatter(axes, panel_of("scatter", "PPL", "ES"))
    clouds = [cloud for cloud in axes.collections if len(cloud.get_offsets()) > 1]
    assert [len(cloud.get_offsets()) for cloud in clouds] == [3, 3, 3, 3]
    assert list(clouds[0].get_offsets()[0]) == pytest.approx([20 + 800 / 3, 0.2 - 0.16 / 3])
    means = [cloud for cloud in axes.collections if len(cloud.get_offsets()) == 1]
    assert means[0].get_offsets()[0][1] == pytest.approx(0.21 - 0.16 / 3)


def test_what_is_not_finite_is_left_out(tmp_path: Path) -> None:
    experiment, rows = case("lines")
    broken = [
        Measured(**{**_fields(row), "value": math.inf}) if row.metric == "PPL" and row.place == 5 else row
        for row in rows
    ]
    draw_experiment(experiment, broken, tmp_path / "figure.svg")
    axes = axes_of()
    lines(axes, panel_of("lines", "PPL", rows=[row for row in broken if row.model == "tiny-0"]))
    assert math.isnan(axes.lines[0].get_ydata()[-1]) and math.isfinite(axes.lines[0].get_ydata()[0])


def test_labels_have_units_and_lines_of_one_colour_other_markers() -> None:
    assert label_of("EM") == "EM (share of facts)"
    assert label_of("PAR") == "PAR (share of prompts)" and label_of("CHOICE") == "CHOICE (share of questions)"
    assert label_of("key cosine") == "key cosine"
    assert label_of("winogrande") == "winogrande"
    assert [series_marker(i, (1, 2)) for i in (0, 6, 7)] == ["o", "o", "^"]
    assert [series_marker(i, range(100)) for i in (0, 7)] == ["", "^"]


@pytest.mark.parametrize(
    ("layout", "metrics", "message"),
    [
        ("bars", (), "its figure names 0 metrics; it needs 1"),
        ("scatter", ("ES",), "its figure names 1 metrics; it needs 2"),
        ("bars", ("AKD",), "AKD of its figure was not measured"),
        ("lines", ("ES", "AKD"), "AKD of its figure was not measured"),
        ("scatter", ("AKD", "ES"), "AKD of its figure was not measured"),
    ],
)
def test_a_figure_of_nothing_is_refused(tmp_path: Path, layout: str, metrics: tuple[str, ...], message: str) -> None:
    experiment = experiment_of(figure=Figure(layout, metrics))  # type: ignore[arg-type]
    with pytest.raises(ExperimentError, match=f"invented: {message}"):
        draw_experiment(experiment, case("bars")[1], tmp_path / "figure.svg")


def test_another_format_is_refused_and_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment, rows = case("bars")
    with pytest.raises(ExperimentError, match=r"figures are \.svg or \.png files"):
        draw_experiment(experiment, rows, tmp_path / "figure.pdf")
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ExperimentError, match=r"install kedit\[figures\]"):
        draw_experiment(experiment, rows, tmp_path / "figure.svg")
    assert not list(tmp_path.iterdir())
