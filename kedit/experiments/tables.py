# SPDX-License-Identifier: Apache-2.0
"""An experiment's numbers and findings in Markdown."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kedit.experiments.experiment import Claim, Experiment, ExperimentError, Quantity
from kedit.experiments.published import Published
from kedit.experiments.samples import Samples, by_model
from kedit.experiments.tidy import Measured
from kedit.experiments.verdicts import Finding, judge
from kedit.metrics.score import S

__all__ = [
    "Answers",
    "answers",
    "beside",
    "claims_table",
    "cleaned",
    "model_table",
    "number",
    "shown_bound",
    "shown_effect",
]

# A longer table is folded away.
LONG = 24


@dataclass(frozen=True, slots=True)
class Answers:
    """What the models say to one claim: model -> finding, or the sentence that says why there is none."""

    claim: Claim
    findings: Mapping[str, Finding | str]


def answers(experiment: Experiment, rows: Iterable[Measured], *, partial: bool = False) -> tuple[Answers, ...]:
    """Every claim of an experiment, judged on every model that has rows.

    Args:
        experiment: whose claims.
        rows: rows of that experiment, of any models.
        partial: an unfinished run is meant: a claim whose numbers are missing gets a sentence instead of an error.

    Raises:
        ExperimentError: numbers are missing and `partial` is not set.
    """
    samples = by_model(rows)
    return tuple(
        Answers(claim, {model: _answer(claim, own, partial) for model, own in samples.items()})
        for claim in experiment.claims
    )


def _answer(claim: Claim, samples: Samples, partial: bool) -> Finding | str:
    try:
        return judge(claim, samples)
    except ExperimentError as error:
        if not partial:
            raise
        return f"not measured: {error}"


def model_table(samples: Samples, place: str = "place") -> list[str]:
    """One model's means ± sample standard deviations over repeats: a line a series, arm and `place`."""
    metrics = samples.metrics()
    keys = [
        (series, arm, place)
        for series in samples.series()
        for arm in samples.arms(series)
        for place in samples.places(series, arm)
    ]
    named = _kept(keys)
    counts: set[int] = set()
    columns = []
    for metric in metrics:
        cells = [_moments(samples, Quantity(metric, *key)) for key in keys]
        counts |= {cell[2] for cell in cells if cell}
        digits = _digits([cell[0] for cell in cells if cell])
        columns.append(["–" if cell is None else _spread(cell, digits) for cell in cells])
    lines = [
        _line([*(title for title, kept in zip(("series", "arm", place), named, strict=True) if kept), *metrics]),
        _rule(sum(named) + len(metrics)),
        *(
            _line([*(str(part) for part, kept in zip(key, named, strict=True) if kept), *cells])
            for key, cells in zip(keys, zip(*columns, strict=True), strict=True)
        ),
    ]
    n = " to ".join(str(count) for count in sorted({min(counts), max(counts)}))
    made = f" ({S.name} of the mean rates ± that of single repeats)" if S.name in metrics and n != "1" else ""
    title = f"Mean ± standard deviation{made}, n = {n} {'repeat' if n == '1' else 'repeats'}"
    return _folded(title, lines, len(keys))


def beside(experiment: Experiment, rows: Iterable[Measured], published: Sequence[Published]) -> list[str]:
    """Published numbers beside our means where series, arm, place and metric are the same; nothing where none are."""
    samples = by_model(rows)
    shown = [
        row
        for row in published
        if any(own.has(Quantity(row.metric, row.series, row.arm, row.place)) for own in samples.values())
    ]
    keys = list(dict.fromkeys((row.series, row.arm, row.place, row.metric) for row in shown))
    theirs = {(row.series, row.arm, row.place, row.metric, row.model): row for row in shown}
    if not keys:
        return []
    full = list(dict.fromkeys(row.model for row in shown))
    named = (*_kept([key[:3] for key in keys]), True)
    place = experiment.figure.x_label or "place"
    titles = [title for title, kept in zip(("series", "arm", place, "metric"), named, strict=True) if kept]
    lines = [
        _line([*titles, *(f"published{f', {name}' if name else ''}" for name in full), *samples]),
        _rule(len(titles) + len(full) + len(samples)),
    ]
    for key in keys:
        wanted = Quantity(key[3], *key[:3])
        ours = [own.mean(wanted) if own.has(wanted) else None for own in samples.values()]
        printed = [theirs.get((*key, name)) for name in full]
        values = [*(None if row is None else row.share for row in printed), *ours]
        digits = _digits([value for value in values if value is not None])
        lines.append(
            _line(
                [
                    *(str(part) for part, kept in zip(key, named, strict=True) if kept),
                    *("–" if value is None else number(value, digits) for value in values),
                ]
            )
        )
    percent = "; percent of the paper are shares here" if any(row.unit == "%" for row in shown) else ""
    notes: dict[str, list[str]] = {}
    for row in shown:
        if row.note:
            notes.setdefault(row.note, []).append(f"{row.row}, {row.metric}")
    told = [f"- {where[0] if len(where) == 1 else f'{len(where)} numbers'}: {note}." for note, where in notes.items()]
    title = f"{experiment.paper}, {experiment.item}: published numbers beside our means{percent}"
    return [*_folded(title, lines, len(keys)), *told, *([""] if told else [])]


def claims_table(found: Sequence[Answers]) -> list[str]:
    """A line for each claim and model: what the paper says and shows, the bound, our effect, the verdict."""
    lines = [
        _line(["claim", "paper", "claimed", "model", "effect [95 % interval]", "standardised", "n", "verdict"]),
        _rule(8),
    ]
    for answer in found:
        claim = answer.claim
        shown = claim.published and ", ".join((claim.published, *claim.models))
        told = "; ".join(part for part in (claim.source, shown) if part)
        words = [cleaned(claim.text), cleaned(told), shown_bound(claim)]
        for model, finding in answer.findings.items():
            if isinstance(finding, str):
                lines.append(_line([*words, model, "–", "–", "–", cleaned(finding)]))
            else:
                size = "–" if finding.standardised is None else number(finding.standardised, 2)
                cells = [model, shown_effect(finding), size, str(finding.n), f"**{finding.verdict}**"]
                lines.append(_line([*words, *cells]))
            words = ["", "", ""]
    return [*lines, ""]


def shown_effect(finding: Finding) -> str:
    """`-0.31 [-0.40, -0.22]`, with as many digits as the claim's bound needs."""
    values = [finding.effect, *(finding.interval or ()), finding.claim.by]
    digits = max(2, _digits(values))
    interval = "" if finding.interval is None else f" [{', '.join(number(end, digits) for end in finding.interval)}]"
    return f"{number(finding.effect, digits)}{interval}"


def shown_bound(claim: Claim) -> str:
    """Where the claim puts the effect: `< -0.10`, `> 0.30`, `within ±0.05`."""
    digits = 2 if round(claim.by, 2) == claim.by else 6
    if claim.direction == "equal":
        return f"within ±{number(claim.by, digits)}"
    if claim.direction in ("above", "rising"):
        return f"> {number(claim.by, digits)}"
    return f"< {number(-claim.by, digits)}"


def number(value: float, digits: int) -> str:
    """A number with that many digits after the point, or in powers of ten where it is too large to be read."""
    if not math.isfinite(value):
        return "undefined" if math.isnan(value) else ("∞" if value > 0 else "-∞")
    shown = f"{value:.2e}" if abs(value) >= 1e6 or (0 < abs(value) < 1e-4 and digits > 4) else f"{value:.{digits}f}"
    return shown.removeprefix("-") if float(shown) == 0 else shown


def cleaned(text: str) -> str:
    """Text that is one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def _digits(values: Sequence[float]) -> int:
    """Digits after the point that a column needs: enough for its largest number, and few."""
    finite = [abs(value) for value in values if math.isfinite(value)]
    largest = max(finite, default=0.0)
    if largest == 0.0:
        return 2
    return 5 if largest < 0.001 else 4 if largest < 0.1 else 2 if largest < 10 else 1 if largest < 1000 else 0


def _moments(samples: Samples, quantity: Quantity) -> tuple[float, float | None, int] | None:
    """Mean, standard deviation over repeats (of one repeat there is none) and number of repeats."""
    if not samples.has(quantity):
        return None
    values = list(samples.values(quantity).values())
    spread = statistics.stdev(values) if len(values) > 1 and all(map(math.isfinite, values)) else None
    return samples.mean(quantity), spread, len(values)


def _spread(cell: tuple[float, float | None, int], digits: int) -> str:
    mean, deviation, _ = cell
    return number(mean, digits) + ("" if deviation is None else f" ± {number(deviation, digits)}")


def _kept(keys: Sequence[tuple[str, str, int]]) -> tuple[bool, bool, bool]:
    """Which of series, arm and place differ between lines or say something; series is always shown."""
    return True, any(arm for _, arm, _ in keys), any(place for _, _, place in keys)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(columns: int) -> str:
    return "|---" * columns + "|"


def _folded(title: str, lines: Sequence[str], count: int) -> list[str]:
    if count <= LONG:
        return [f"{title}:", "", *lines, ""]
    return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>", ""]
