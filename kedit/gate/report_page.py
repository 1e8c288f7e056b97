# SPDX-License-Identifier: Apache-2.0
"""report.html: one file that needs nothing beside it, no script and no network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import resources

from kedit.gate.markup import Markup, element, join
from kedit.gate.report import Report
from kedit.gate.report_figures import figures
from kedit.gate.report_table import WORDS, bound_text, measurements, overview
from kedit.gate.results import STATUSES, Result, Status, natural, number, parameter_text

__all__ = ["report_page"]

# The page may load nothing at all, even if some text in it were taken for markup.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def report_page(report: Report) -> str:
    """The whole page."""
    style = resources.files("kedit.gate").joinpath("report.css").read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{report.editor}: {report.outcome}"),
        element("style", Markup(style)),
    )
    main = element(
        "main",
        _header(report),
        _part("summary", "Summary", _counts(report), _reasons(report, "failed", "Failures"), overview(report)),
        _part("figures", "Figures", figures(report)),
        _part("measurements", "Measurements", _reading(), measurements(report)),
        _part("known", "Known failures", _reasons(report, "xfailed") or _nothing("No failure is known.")),
        _part("skipped", "Skipped", _skipped(report) or _nothing("Every property applied.")),
        _part("run", "This run", _run(report)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', main), lang='en')}\n"


def _header(report: Report) -> Markup:
    sentence = report.verdict.removeprefix(f"{report.editor}: ")
    sentence = f"{sentence[:1].upper()}{sentence[1:]}"
    known = {row.property for row in report.results}
    words = [
        element("a", word, href=f"#{word}") if word in known else word for word in re.split(r"([\w.-]+)", sentence)
    ]
    return element(
        "header",
        *(element("p", note, class_="note") for note in report.notes),
        element("p", "Editing properties of", class_="quiet"),
        element("h1", report.editor),
        element(
            "p", *words, Markup() if sentence.endswith(".") else ".", class_=f"verdict {report.outcome.split()[0]}"
        ),
    )


def _counts(report: Report) -> Markup:
    counts: Mapping[Status, int] = {s: sum(row.status == s for row in report.results) for s in STATUSES}
    items = [
        element("li", element("b", str(counts[status]), class_=status if counts[status] else "quiet"), f" {word}")
        for status, word in WORDS.items()
        if counts[status] or status in ("passed", "failed")
    ]
    return element("ul", *items, class_="counts")


def _reading() -> Markup:
    text = (
        "Each number stands beside its distance from the threshold, negative on the wrong side; below, the upright "
        "line is the threshold and the dot the number. The margin of a threshold is its distance from the nearest "
        "number it was calibrated with; an exact requirement has none."
    )
    return element("p", text, class_="about")


def _reasons(report: Report, status: Status, title: str = "") -> Markup:
    """Rows of one status, together where property and reason are the same."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for row in report.results:
        if row.status == status:
            groups.setdefault((row.property, row.reason), []).append(row)
    if not groups:
        return Markup()
    entries, last = [], ""
    for (name, reason), rows in groups.items():
        if name != last:
            entries.append(element("dt", element("a", name, href=f"#{name}")))
        entries.append(element("dd", *([element("p", reason)] if reason else []), _list(rows)))
        last = name
    return join((element("h3", title) if title else Markup(), element("dl", *entries, class_=f"reasons {status}")))


def _list(rows: Iterable[Result]) -> Markup:
    """Each number with its threshold, the models of one number together."""
    found: dict[str, list[str]] = {}
    bounds: dict[str, str] = {}
    for row in rows:
        label = parameter_text(row.parameters)
        value = f" {number(row.measured)}" if row.bound else ""
        found.setdefault(label, []).append(f"{row.model}{value}")
        bounds[label] = f" {bound_text(row)}" if row.bound else ""
    items = [element("li", f"{label}{bounds[label]}: {', '.join(models)}") for label, models in found.items()]
    return element("ul", *items, class_="quiet")


def _skipped(report: Report) -> Markup:
    groups: dict[tuple[str, str], set[str]] = {}
    for row in report.results:
        if row.status == "skipped":
            groups.setdefault((row.property, row.reason), set()).add(row.model)
    entries = [
        part
        for (name, reason), models in groups.items()
        for part in (element("dt", name), element("dd", f"{reason} ({', '.join(sorted(models, key=natural))})"))
    ]
    return element("dl", *entries, class_="reasons") if entries else Markup()


def _run(report: Report) -> Markup:
    models = [
        f"{name} ({told['dtype']} on {told['device']}, weights {told['fingerprint'][:12]})" if told else name
        for name, told in sorted(report.models.items(), key=lambda item: natural(item[0]))
    ]
    told = {
        "models": ", ".join(models),
        "seed": str(report.seed),
        "tags": ", ".join(report.tags) or "none",
        "settings": ", ".join(f"{name} = {value}" for name, value in report.settings.items()) or "the editor's own",
        "versions": ", ".join(f"{name} {version}" for name, version in report.versions.items()),
    }
    entries = [part for name, text in told.items() for part in (element("dt", name), element("dd", text))]
    return element("dl", *entries, class_="run")


def _part(name: str, title: str, *content: Markup) -> Markup:
    return element("section", element("h2", title), *content, id=name)


def _nothing(text: str) -> Markup:
    return element("p", text, class_="quiet")
