# SPDX-License-Identifier: Apache-2.0
"""The tables of report.html: one row for each judged number of a property, one column for each model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from kedit.gate.charts import Axis, ceiling
from kedit.gate.markup import Markup, element, join
from kedit.gate.report import Report
from kedit.gate.results import STATUSES, Result, Status, natural, number, numbered

__all__ = ["WORDS", "bound_text", "measurements", "overview"]

WORDS: Mapping[Status, str] = {"failed": "failed", "xfailed": "known failure", "passed": "passed", "skipped": "skipped"}
_SIGNS: Mapping[Status, str] = {"failed": "✗", "xfailed": "!", "passed": "✓", "skipped": "–"}
_BAR_WIDTH, _BAR_HEIGHT = 96, 10


def overview(report: Report) -> Markup:
    """Property by model: the status that needs reading first, of all numbers."""
    models = _models(report)
    head = element("tr", element("td"), *(element("th", model, scope="col") for model in models))
    body, family = [], ""
    for name in _properties(report):
        if name.partition(".")[0] != family:
            family = name.partition(".")[0]
            title = element("th", family, colspan=len(models) + 1, scope="colgroup", class_="family")
            body.append(element("tr", title))
        link = element("a", name.partition(".")[2], href=f"#{name}")
        cells = [_sign([r for r in report.results if (r.property, r.model) == (name, model)]) for model in models]
        body.append(element("tr", element("th", link, scope="row"), *cells))
    return element("table", element("thead", head), element("tbody", *body), class_="overview")


def measurements(report: Report) -> Markup:
    """One section for each property with a number: what it asks for, and every number beside its threshold."""
    sources = list(dict.fromkeys(r.source for r in report.results if r.source))
    sections = [_section(report, name, sources) for name in _properties(report)]
    notes = [element("li", source) for source in sources]
    return join((*sections, element("h3", "Sources of the thresholds"), element("ol", *notes, class_="sources")))


def bound_text(row: Result) -> str:
    """What the number must be, such as `≥ 0.9`."""
    return f"{row.bound.replace('>=', '≥').replace('<=', '≤')} {row.threshold:g}"


def _sign(rows: Sequence[Result]) -> Markup:
    if not rows:
        return element("td")
    status = min((row.status for row in rows), key=STATUSES.index)
    word = element("span", f" {WORDS[status]}", class_="word")
    return element("td", element("b", _SIGNS[status], class_=status), word)


def _section(report: Report, name: str, sources: Sequence[str]) -> Markup:
    lines: dict[tuple[str, int], dict[str, Result]] = {}
    for (property_id, model, label, place), row in numbered(report.results):
        if property_id == name and row.bound:
            lines.setdefault((label, place), {})[model] = row
    about = [element("p", text, class_="about") for text in report.about.get(name, ()) if text]
    title = element("h3", name, id=name)
    if not lines:
        return element("section", title, *about, element("p", "No number was measured.", class_="quiet"))
    models = [model for model in _models(report) if any(model in found for found in lines.values())]
    columns = [element("th", model, scope="col") for model in models]
    head = element("tr", element("th", "number", scope="col"), element("th", "must be", scope="col"), *columns)
    body = [_line(*line, models, sources) for line in _merged(lines)]
    table = element("table", element("thead", head), element("tbody", *body), class_="numbers")
    return element("section", title, *about, table)


def _merged(lines: Mapping[tuple[str, int], Mapping[str, Result]]) -> list[tuple[str, str, Mapping[str, Result]]]:
    """Metric, parameters and numbers of each row; exact requirements with the same outcome share one."""
    rows: dict[tuple[object, ...], tuple[list[str], Mapping[str, Result]]] = {}
    for label, found in lines.items():
        one = next(iter(found.values()))
        metric, _, parameters = label[0].partition(" ")
        outcome = [(model, row.measured, row.status, row.reason) for model, row in found.items()]
        same = (metric, one.bound, one.threshold, *outcome) if one.basis == "exact" else (metric, *label)
        rows.setdefault(same, ([], found))[0].append(parameters)
    told = [(str(key[0]), parameters, found) for key, (parameters, found) in rows.items()]
    return [
        (metric, ", ".join(filter(None, parameters)) or (f"{len(parameters)} times" if parameters[1:] else ""), found)
        for metric, parameters, found in told
    ]


def _line(
    metric: str, parameters: str, found: Mapping[str, Result], models: Sequence[str], sources: Sequence[str]
) -> Markup:
    one = next(iter(found.values()))
    scale = _scale(list(found.values()))
    head = element("th", metric, element("small", parameters), scope="row")
    footnote = element("sup", str(sources.index(one.source) + 1)) if one.source else Markup()
    margin = f"{one.unit}; margin {number(one.margin)}" if one.margin else one.unit
    must = element("td", bound_text(one), footnote, element("small", margin), class_="must")
    return element("tr", head, must, *(_cell(found.get(model), model, scale) for model in models))


def _cell(row: Result | None, model: str, scale: Axis | None) -> Markup:
    if row is None:
        return element("td", "–", data_model=model, class_="quiet")
    drawn = _bar(row, scale) if scale is not None else Markup()
    distance = row.distance()
    told = f"{distance:+.2g}" if distance and math.isfinite(distance) else ""
    value = element("b", number(row.measured), class_=row.status)
    title = f"{WORDS[row.status]}; distance from the threshold {number(distance)}; {row.reason}".rstrip("; ")
    return element("td", value, element("small", told), drawn, data_model=model, title=title)


def _scale(rows: Sequence[Result]) -> Axis | None:
    """One scale for a row of numbers; None for an exact requirement, which has no distance to show."""
    bound = rows[0].threshold
    if rows[0].basis == "exact" or bound is None:
        return None
    values = [row.measured for row in rows if row.measured is not None and math.isfinite(row.measured)]
    if rows[0].bound == ">=":
        low = 0.0 if min([bound, *values]) >= 0 else -ceiling(-min([bound, *values]))
        return Axis(low, ceiling(max([bound, *values])) if bound > 0 else max([0.0, *values]), ())
    # A number far beyond its bound is drawn at the end, or the others would not be told apart.
    return Axis(0.0, max(1.25 * bound, min(max(values, default=bound), 3 * bound)), ())


def _bar(row: Result, scale: Axis) -> Markup:
    if row.measured is None or row.threshold is None or not math.isfinite(row.measured):
        return Markup()
    at, bound = (4 + scale.share(value) * (_BAR_WIDTH - 8) for value in (row.measured, row.threshold))
    middle = _BAR_HEIGHT / 2
    return element(
        "svg",
        element("path", d=f"M4 {middle}H{_BAR_WIDTH - 4}", class_="rule"),
        element("path", d=f"M{bound:.1f} {middle}H{at:.1f}", class_="reach"),
        element("path", d=f"M{bound:.1f} 0V{_BAR_HEIGHT}", class_="bound"),
        element("circle", cx=f"{at:.1f}", cy=middle, r=3),
        viewBox=f"0 0 {_BAR_WIDTH} {_BAR_HEIGHT}",
        class_=f"bar {row.status}",
        aria_hidden="true",
    )


def _models(report: Report) -> list[str]:
    return sorted(report.models, key=natural)


def _properties(report: Report) -> list[str]:
    return sorted({row.property for row in report.results})
