# SPDX-License-Identifier: Apache-2.0
"""The table of results, in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kedit.metrics import EM, ES, NS, PS, SD, Metric, S
from kedit.reports.cells import METRICS, Cell
from kedit.reports.protocols import BATCH_SIZES

__all__ = ["SETTINGS", "Spread", "results_page", "spread"]

# Setting -> how the table calls it.
SETTINGS: Mapping[str, str] = {
    "single": "1",
    "distinct-30": "30 distinct",
    "same-8": "8 same",
    "distinct-8": "8 distinct",
    "same-12": "12 same",
    "distinct-12": "12 distinct",
    "homogeneous-2": "first of 2, homogeneous",
    "heterogeneous-2": "first of 2, heterogeneous",
    "homogeneous-8": "first of 8, homogeneous",
    "heterogeneous-8": "first of 8, heterogeneous",
    "sequence-120": "120 in sequence",
    "returning-120": "40 subjects, 3 rounds",
}

_INTRODUCTION = (
    "Editors on the tiny models of `fixtures/models`. Every number is the mean over draws of facts ± the sample "
    "standard deviation over draws (n = {n} draws, seeds {seeds}). A draw is 10 single edits, one batch of 30, three "
    "batches of 8 or of 12, four sequences whose first edit is followed, or one long sequence; every one starts from "
    "the unedited model. This page is written by `python -m kedit.reports.results`; do not edit it."
)
_SEQUENCES = (
    "*Homogeneous*: all edits of the sequence are on one subject; *heterogeneous*: the same first fact, then as many "
    "edits on other subjects. Both show the first edit after the last."
)


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation over `n` draws; the deviation of one draw is not defined."""

    mean: float
    deviation: float | None
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.2f}" if self.deviation is None else f"{self.mean:.2f} ± {self.deviation:.2f}"


def spread(values: Sequence[float]) -> Spread:
    """Mean and spread over draws.

    Raises:
        ValueError: no draws.
    """
    if not values:
        raise ValueError("no draws to average")
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


def results_page(cells: Sequence[Cell], facts: Mapping[str, str], one_by_one: Sequence[str]) -> str:
    """The whole page.

    Args:
        cells: measured cells of one code and one set of models.
        facts: what is stated above the tables, such as seeds and versions.
        one_by_one: editors that take one fact a call, so that their batches are sequences.
    """
    draws = {cell.draw for cell in cells}
    parts = [
        "# Results",
        "",
        _INTRODUCTION.format(n=len(draws), seeds=", ".join(str(draw) for draw in sorted(draws))),
        "",
        *(f"- {name}: {value}" for name, value in facts.items()),
        "",
        *_definitions(),
    ]
    if one_by_one:
        names = ", ".join(one_by_one)
        parts += [f"{names}: one fact a call, so what stands under a batch is the same facts edited one by one.", ""]
    models = sorted({cell.model for cell in cells})
    for model in models:
        own = [cell for cell in cells if cell.model == model]
        parts += [f"## {model}", "", *_glance(own), *_differences(own), *_full(own)]
    return "\n".join(parts).rstrip() + "\n"


def _definitions() -> list[str]:
    metrics: tuple[Metric[...], ...] = (ES, PS, NS, S, EM, SD)
    return [
        "| metric | definition | protocol |",
        "|---|---|---|",
        *(f"| {metric.name} | {metric.definition} | {metric.protocol} |" for metric in metrics),
        "",
        _SEQUENCES,
        "",
    ]


def _values(cells: Sequence[Cell], editor: str, setting: str, metric: str) -> list[float]:
    chosen = sorted((c for c in cells if c.editor == editor and c.setting == setting), key=lambda cell: cell.draw)
    return [cell.metrics[metric] for cell in chosen]


def _shown(values: Sequence[float]) -> str:
    return str(spread(values)) if values else "–"


def _editors(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.editor for cell in cells))


def _glance(cells: Sequence[Cell]) -> list[str]:
    editors = _editors(cells)
    return [
        "Exact match:",
        "",
        "| | " + " | ".join(editors) + " |",
        "|---" * (len(editors) + 1) + "|",
        *(
            f"| {title} | " + " | ".join(_shown(_values(cells, editor, setting, "EM")) for editor in editors) + " |"
            for setting, title in SETTINGS.items()
            if any(cell.setting == setting for cell in cells)
        ),
        "",
    ]


def _differences(cells: Sequence[Cell]) -> list[str]:
    editors = _editors(cells)
    rows = []
    for size in BATCH_SIZES:
        if not any(cell.setting == f"same-{size}" for cell in cells):
            continue
        shown = []
        for editor in editors:
            same = _values(cells, editor, f"same-{size}", "S")
            distinct = _values(cells, editor, f"distinct-{size}", "S")
            paired = len(same) == len(distinct)
            shown.append(_shown([SD(a, b) for a, b in zip(same, distinct, strict=True)] if paired else []))
        rows.append(f"| {size} | " + " | ".join(shown) + " |")
    return [
        "Score difference SD, facts of one subject against as many distinct subjects:",
        "",
        "| facts | " + " | ".join(editors) + " |",
        "|---" * (len(editors) + 1) + "|",
        *rows,
        "",
    ]


def _full(cells: Sequence[Cell]) -> list[str]:
    rows = []
    for setting, title in SETTINGS.items():
        for editor in _editors(cells):
            count = {cell.n for cell in cells if cell.editor == editor and cell.setting == setting}
            if not count:
                continue
            columns = [_shown(_values(cells, editor, setting, metric)) for metric in METRICS]
            rows.append(f"| {title} | {editor} | {' | '.join(columns)} | {'/'.join(str(n) for n in sorted(count))} |")
    return [
        "<details><summary>All metrics</summary>",
        "",
        "| setting | editor | " + " | ".join(METRICS) + " | facts a draw |",
        "|---" * (len(METRICS) + 3) + "|",
        *rows,
        "",
        "</details>",
        "",
    ]
