# SPDX-License-Identifier: Apache-2.0
"""The page that sets every claim of the papers beside what the tiny models show."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from kedit.experiments.experiment import Experiment, ExperimentError
from kedit.experiments.published import Published
from kedit.experiments.tables import Answers, answers, beside, claims_table, cleaned
from kedit.experiments.tidy import Measured

__all__ = ["command", "in_order", "reproduction_page"]

_PAPERS = ("S2RKE", "MEMIT-Merge", "D4S", "kedit")
_TITLES: Mapping[str, str] = MappingProxyType({"kedit": "Questions that the papers leave open"})
_VERDICTS = ("reproduced", "not reproduced", "too noisy to say")
_NOTHING: Mapping[str, Sequence[Published]] = MappingProxyType({})
_NO_FIGURES: Mapping[str, str] = MappingProxyType({})

_INTRODUCTION = """\
What three papers on knowledge editing claim, and what kedit's tiny models show. Every line is one claim: the paper's
numbers, or what its drawing shows where no numbers are printed, our effect on each model, and a verdict. This page is
written by `python -m kedit.experiments.reproduction`; do not edit it.

- **claimed**: where the claim puts the effect. Papers seldom give a bound; where none is given it is ours.
- **effect**: the difference that the claim is about, a number alone, or a rank correlation; in brackets the 95 %
  percentile interval of a bootstrap over repeats. **standardised**: mean difference over the standard deviation of
  differences of the same repeat. **n**: number of repeats.
- **reproduced**: the whole interval lies where the claim puts the effect. **not reproduced**: the whole interval lies
  where the claim does not put it. **too noisy to say**: neither, or a single repeat.
- Percentile intervals of few repeats are short. In simulations with normal differences the interval holds the true mean
  in 73 % of cases with 3 repeats, 84 % with 5, 90 % with 10 and 94 % with 30.
- **ES**, **PS**, **NS**: how often the new object is more probable than the true one on the prompt and on its
  paraphrases, and the true one on prompts about other subjects; **S** is the harmonic mean of the three. **EM**,
  **PAR**, **SPE**: the same prompts, but greedy decoding has to give the whole object. **CHOICE**: multiple choice
  about subjects that are not edited. **PPL**: perplexity of texts that no edit is about. **AKD**: mean distance of the
  keys of a batch. **L1 growth**: mean absolute entry of the edited weights over that before the first edit.
- S2RKE: *Related Knowledge Perturbation Matters*; MEMIT-Merge: *Addressing MEMIT's Key-Value Conflicts in Same-Subject
  Batch Editing*; D4S: *Reasons and Solutions for the Decline in Model Performance after Editing*.
"""


def reproduction_page(
    experiments: Mapping[str, Experiment],
    rows: Mapping[str, Sequence[Measured]],
    causes: Mapping[str, str],
    *,
    published: Mapping[str, Sequence[Published]] = _NOTHING,
    figures: Mapping[str, str] = _NO_FIGURES,
) -> str:
    """The whole page.

    Args:
        experiments: name -> experiment.
        rows: name -> its rows; an experiment without rows is said not to have been run.
        causes: name -> why ours differs, in Markdown.
        published: name -> printed numbers under the names of the experiment.
        figures: name -> link to its figure.

    Raises:
        ExperimentError: a cause is of no experiment, or rows are not those of their experiment or do not have what a
            claim needs.
    """
    strange = sorted(causes.keys() - experiments.keys())
    if strange:
        raise ExperimentError(f"causes of {', '.join(strange)}, which is no experiment; correct the name or remove it")
    ordered = in_order(experiments.values())
    found: dict[str, tuple[Answers, ...]] = {}
    for experiment in ordered:
        own = rows.get(experiment.name, ())
        others = sorted({row.experiment for row in own} - {experiment.name})
        if others:
            raise ExperimentError(f"{experiment.name}: rows of {', '.join(others)} among its own; pass its rows only")
        found[experiment.name] = answers(experiment, own) if own else ()
    parts = ["# Reproduction", "", _INTRODUCTION, *_summary(ordered, found, rows), *_failures(ordered, found)]
    for paper in _PAPERS:
        mine = [experiment for experiment in ordered if experiment.paper == paper]
        if mine:
            parts += [f"## {_TITLES.get(paper, paper)}", ""]
        for experiment in mine:
            name = experiment.name
            parts += _section(
                experiment,
                rows.get(name, ()),
                found[name],
                causes.get(name, ""),
                published.get(name, ()),
                figures.get(name, ""),
            )
    return "\n".join(parts).rstrip() + "\n"


def in_order(experiments: Iterable[Experiment]) -> list[Experiment]:
    """Experiments by paper, figures before tables, by number."""

    def key(experiment: Experiment) -> tuple[int, str, int, str]:
        kind, _, place = experiment.item.partition(" ")
        number = re.match(r"\d+", place)
        return _PAPERS.index(experiment.paper), kind, int(number[0]) if number else 0, f"{place} {experiment.name}"

    return sorted(experiments, key=key)


def command(experiment: Experiment, models: Sequence[str]) -> str:
    """What runs the experiment."""
    chosen = "".join(f" --model {model}" for model in models)
    return f"kedit experiment run {experiment.name}{chosen} --out DIR"


def _section(
    experiment: Experiment,
    rows: Sequence[Measured],
    found: Sequence[Answers],
    cause: str,
    published: Sequence[Published],
    figure: str,
) -> list[str]:
    models = list(dict.fromkeys(row.model for row in rows))
    title = f"{experiment.item[:1].upper()}{experiment.item[1:]}: {experiment.title.rstrip('.')}"
    parts = [f"### {title}", "", f"`{command(experiment, models or experiment.models)}`", ""]
    if experiment.note:
        parts += [experiment.note, ""]
    if not rows:
        parts += ["**Not run.**", "", *(f"- {cleaned(claim.text)} ({claim.source})" for claim in experiment.claims)]
        return [*parts, ""] if experiment.claims else parts
    if found:
        parts += claims_table(found)
    if figure:
        parts += [f"![{cleaned(experiment.title)}]({figure})", ""]
    if cause:
        parts += [f"**Where ours differs.** {cause.strip()}", ""]
    return [*parts, *beside(experiment, rows, published)]


def _counts(found: Iterable[Answers]) -> Counter[str]:
    return Counter(
        finding.verdict for answer in found for finding in answer.findings.values() if not isinstance(finding, str)
    )


def _summary(
    ordered: Sequence[Experiment], found: Mapping[str, Sequence[Answers]], rows: Mapping[str, Sequence[Measured]]
) -> list[str]:
    """Verdicts a paper; a claim counts once for every model that it was judged on."""
    lines = [
        "## Summary",
        "",
        "Claims times models:",
        "",
        "| paper | experiments | claims | reproduced | not reproduced | too noisy to say | experiments not run |",
        "|---" * 7 + "|",
    ]
    for paper in _PAPERS:
        mine = [experiment for experiment in ordered if experiment.paper == paper]
        if not mine:
            continue
        counts = _counts(answer for experiment in mine for answer in found[experiment.name])
        claims = sum(len(experiment.claims) for experiment in mine)
        idle = sum(not rows.get(experiment.name) for experiment in mine)
        cells = [paper, len(mine), claims, *(counts[verdict] for verdict in _VERDICTS), idle]
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return [*lines, ""]


def _failures(ordered: Sequence[Experiment], found: Mapping[str, Sequence[Answers]]) -> list[str]:
    """Every claim that some model contradicts."""
    lines = []
    for experiment in ordered:
        for answer in found[experiment.name]:
            against = [
                model
                for model, finding in answer.findings.items()
                if not isinstance(finding, str) and finding.verdict == "not reproduced"
            ]
            if against:
                count = f"{len(against)} of {len(answer.findings)} models: {', '.join(against)}"
                lines.append(f"- {experiment.paper}, {experiment.item}: {cleaned(answer.claim.text)} ({count})")
    if not lines:
        return []
    return ["## What did not reproduce", "", *lines, ""]
