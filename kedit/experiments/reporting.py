# SPDX-License-Identifier: Apache-2.0
"""The report of one experiment: table, verdicts and figure, beside its CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from kedit.experiments.experiment import Experiment, ExperimentError
from kedit.experiments.figures import draw_experiment
from kedit.experiments.published import Published
from kedit.experiments.samples import by_model
from kedit.experiments.tables import answers, beside, claims_table, model_table
from kedit.experiments.tidy import Measured
from kedit.files import write_atomically

__all__ = ["report_page", "write_report"]


def write_report(
    experiment: Experiment,
    rows: Sequence[Measured],
    out: Path,
    missing: Iterable[str] = (),
    *,
    published: Sequence[Published] = (),
    suffix: str = ".svg",
) -> tuple[Path, Path]:
    """Write `<name>.md` and the figure into a folder.

    Args:
        experiment: what was measured.
        rows: its rows, of any models.
        out: the folder.
        missing: cells that are not measured yet, in words; claims may lack numbers then, and the page says so.
        published: printed numbers to stand beside ours, under our names (`renamed`).
        suffix: `.svg` or `.png`.

    Returns:
        The page and the figure.

    Raises:
        ExperimentError: rows are missing or of another experiment, or matplotlib is not installed.
    """
    figure = out / f"{experiment.name}{suffix}"
    draw_experiment(experiment, rows, figure)
    page = report_page(experiment, rows, missing, published=published, figure=figure.name)
    path = out / f"{experiment.name}.md"
    write_atomically(path, lambda part: part.write_text(page, encoding="utf-8"))
    return path, figure


def report_page(
    experiment: Experiment,
    rows: Sequence[Measured],
    missing: Iterable[str] = (),
    *,
    published: Sequence[Published] = (),
    figure: str = "",
) -> str:
    """The page of one experiment.

    Raises:
        ExperimentError: rows are missing or of another experiment.
    """
    strange = sorted({row.experiment for row in rows} - {experiment.name})
    if strange:
        raise ExperimentError(f"{experiment.name}: rows of {', '.join(strange)} among its own; pass its rows only")
    if not rows:
        raise ExperimentError(f"{experiment.name}: nothing is measured yet; run it first")
    lacking = list(missing)
    parts = [f"# {experiment.name}", "", f"{experiment.paper}, {experiment.item}: {experiment.title.rstrip('.')}.", ""]
    if experiment.note:
        parts += [experiment.note, ""]
    if lacking:
        parts += [f"Not measured yet ({len(lacking)}): {'; '.join(lacking)}.", ""]
    if experiment.claims:
        parts += ["## Claims", "", *claims_table(answers(experiment, rows, partial=bool(lacking)))]
    if figure:
        parts += [f"![{experiment.title}]({figure})", ""]
    parts += beside(experiment, rows, published)
    for model, samples in by_model(rows).items():
        parts += [f"## {model}", "", *model_table(samples, experiment.figure.x_label or "place")]
    return "\n".join(parts).rstrip() + "\n"
