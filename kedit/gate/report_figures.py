# SPDX-License-Identifier: Apache-2.0
"""The figures of report.html: a small chart for each model, the editor against stored curves of other editors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kedit.gate.charts import Axis, Chart, ceiling
from kedit.gate.markup import Markup, element, join
from kedit.gate.reference_series import reference_series
from kedit.gate.report import FIRST_EDIT, KEY_COSINE, SAME_SUBJECT, SEQUENCE, Report
from kedit.gate.results import natural

__all__ = ["figures"]

_SHARE = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class _Curve:
    """One line of a figure: whose data, drawn how, called what, and which side of the data."""

    report: Report
    kind: str
    name: str
    side: str = ""


def figures(report: Report) -> Markup:
    """All four figures; one without data is a sentence that says what it needs."""
    parts = (_same_subject(report), _first_edit(report), _sequence(report), _key_cosine(report))
    return join(parts)


def _curves(report: Report, sides: Mapping[str, str]) -> list[_Curve]:
    """The references below, thin; then the editor on each of its sides, the first one on top."""
    stored = reference_series()
    (first, words), *_ = sides.items()
    found = [
        _Curve(stored[name], f"reference-{place}", f"{name}, {words}" if words else name, first)
        for place, name in enumerate(stored)
        if name != report.editor
    ]
    for place, (side, words) in reversed(list(enumerate(sides.items()))):
        name = f"{report.editor}, {words}" if words else report.editor
        found.append(_Curve(report, ("own", "own-dashed")[place], name, side))
    return found


def _same_subject(report: Report) -> Markup:
    title = "Facts that share a subject, in one call"
    text = (
        "Exact match after one call against the number of facts in it. A short level line is the threshold of the "
        "editor's solid line; bars are standard errors over draws."
    )
    curves = _curves(report, {"same": "one subject", "distinct": "distinct subjects"})

    def draw(model: str) -> Chart | None:
        chart = Chart(model, Axis(1, 12.5, (2, 4, 8, 12), "facts in the call"), Axis(0, 1, _SHARE))
        _bounds(chart, report, model, "perturbation.same-subject-batch", "exact_match", "facts")
        return _drawn(chart, curves, SAME_SUBJECT, "facts", lambda data, side: data[side]["exact_match"])

    return _figure(report, SAME_SUBJECT, title, text, curves, draw, "an editor with the tag batch")


def _first_edit(report: Report) -> Markup:
    title = "The first edit of a sequence, on one subject and on distinct subjects"
    text = (
        "Probability of the first edit's new object, after as many single edits as told, all on one subject "
        "(homogeneous) or each on another one (heterogeneous). Both sequences begin with the same edit; bars are "
        "standard errors over trials."
    )
    curves = _curves(report, {"same": "one subject", "distinct": "distinct subjects"})

    def draw(model: str) -> Chart | None:
        chart = Chart(model, Axis(0.6, 8.4, (1, 2, 8), "edits so far"), Axis(0, 1, _SHARE))

        def value(data: Mapping[str, Any], side: str) -> Any:
            return data[side] if data["score"] == "probability" else None

        return _drawn(chart, curves, FIRST_EDIT, "edits", value)

    return _figure(report, FIRST_EDIT, title, text, curves, draw, "an editor with the tag sequential")


def _sequence(report: Report) -> Markup:
    curves = _curves(report, {"": ""})
    title = "A long sequence of single edits on distinct subjects"
    needs = "an editor with the tag sequential"

    def known(model: str) -> Chart | None:
        chart = Chart(model, Axis(0, 205, (0, 50, 100, 200), "edits so far"), Axis(0, 1, _SHARE))
        return _paired(chart, curves, "known")

    told = [data for curve in curves for model in report.models for data in curve.report.of(SEQUENCE, model)]
    far = ceiling(max((y for data in told for _, y in data["relative_change"] if y is not None), default=1.0))

    def moved(model: str) -> Chart | None:
        chart = Chart(model, Axis(0, 205, (0, 50, 100, 200), "edits so far"), Axis(0, far, (0.0, far / 2, far)))
        return _paired(chart, curves, "relative_change")

    text = "Exact match over all edits so far."
    upper = _figure(report, SEQUENCE, title, text, curves, known, needs)
    text = "Norm of the change over the norm of the unedited weight, of the weight that moved farthest."
    return join((upper, _figure(report, SEQUENCE, "How far the weights move in it", text, curves, moved, "")))


def _key_cosine(report: Report) -> Markup:
    title = "Keys and efficacy"
    text = (
        "Each dot is a fact of a batch of eight: the cosine of its key with the nearest other key of its batch, at the "
        "first edited layer, and the probability of its new object after the call."
    )
    curves = [
        _Curve(report, kind, name, side)
        for kind, name, side in (("hollow", "distinct subjects", "distinct"), ("filled", "one subject", "same"))
    ]

    def draw(model: str) -> Chart | None:
        chart = Chart(model, Axis(-0.05, 1.03, (0, 0.5, 1), "cosine with the nearest key"), Axis(0, 1, _SHARE))
        for curve in curves:
            for data in report.of(KEY_COSINE, model):
                points = [(x, y) for x, y in data[curve.side] if x is not None and y is not None]
                chart.dots(points, curve.kind, curve.name)
        return chart if chart.spoken else None

    return _figure(report, KEY_COSINE, title, text, curves, draw, "an editor with the tags batch and keyed")


def _drawn(
    chart: Chart,
    curves: Sequence[_Curve],
    series: str,
    place: str,
    value: Callable[[Mapping[str, Any], str], Any],
) -> Chart | None:
    """The chart with a line for each curve, over `data[place]`; None if the editor has none of its own."""
    for curve in curves:
        found = [(data[place], value(data, curve.side)) for data in curve.report.of(series, chart.title)]
        given = sorted((x, y["mean"], y["error"]) for x, y in found if y is not None and y["mean"] is not None)
        if given:
            errors = [error for *_, error in given] if curve.kind.startswith("own") else []
            chart.line([(x, y) for x, y, _ in given], curve.kind, curve.name, errors)
    return chart if chart.spoken else None


def _paired(chart: Chart, curves: Sequence[_Curve], name: str) -> Chart | None:
    for curve in curves:
        for data in curve.report.of(SEQUENCE, chart.title):
            points = [(x, y) for x, y in data[name] if y is not None]
            chart.line(points, curve.kind, curve.name)
    return chart if chart.spoken else None


def _bounds(chart: Chart, report: Report, model: str, property_id: str, metric: str, place: str) -> None:
    for row in report.results:
        judged = (row.property, row.model, row.parameters.get("metric")) == (property_id, model, metric)
        if judged and row.threshold is not None and place in row.parameters:
            chart.bound(row.parameters[place], row.threshold)


def _figure(
    report: Report,
    series: str,
    title: str,
    text: str,
    curves: Sequence[_Curve],
    draw: Callable[[str], Chart | None],
    needs: str,
) -> Markup:
    """A heading, a legend, and the charts of the models that have data of the editor's own."""
    models = [model for model in sorted(report.models, key=natural) if report.of(series, model)]
    charts = [chart.drawn() for model in models if (chart := draw(model)) is not None]
    if not charts:
        missing = f"{title}: not measured; it takes {needs} and a run of its property."
        return element("p", missing, class_="quiet") if needs else Markup()
    legend = [element("li", element("i", class_=curve.kind), curve.name) for curve in reversed(curves)]
    return element(
        "figure",
        element("h3", title),
        element("figcaption", text),
        element("ul", *legend, class_="legend"),
        element("div", *charts, class_="charts"),
    )
