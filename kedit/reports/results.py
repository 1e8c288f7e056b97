# SPDX-License-Identifier: Apache-2.0
"""Measure the editors on the tiny models and write the table and the figure.

`python -m kedit.reports.results --out docs/results.md`
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from kedit.editors.base import EditorError
from kedit.editors.registry import editor_names, load_editor
from kedit.experiments.experiment import ExperimentError
from kedit.experiments.grid import Code, ModelEntry, model_entry
from kedit.files import write_atomically
from kedit.models.language_model import ModelError
from kedit.paths import model_folder, tiny_models
from kedit.reports.figure import FigureError, draw_figure
from kedit.reports.measuring import BENCH, cells_of, measure_all, tasks_for
from kedit.reports.table import results_page
from kedit.versions import versions
from kedit.worlds.cards import seeds_of

__all__ = ["main", "results"]

# As many as a reader tells apart.
FIGURE_EDITORS = ("rome", "memit", "memit-merge", "d4s", "alphaedit", "ft-l", "grace")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status, 2 for wrong input."""
    parser = argparse.ArgumentParser(
        prog="python -m kedit.reports.results",
        description="Measure editors on models and write docs/results.md. Stops and goes on where it was.",
    )
    parser.add_argument("--out", type=Path, default=Path("docs/results.md"), help="the page (default: %(default)s)")
    parser.add_argument("--figure", type=Path, help="also draw the figure, as SVG or PNG")
    parser.add_argument("--figure-model", default="tiny-gpt2", help="model of the figure (default: %(default)s)")
    parser.add_argument(
        "--figure-editors", nargs="+", default=FIGURE_EDITORS, metavar="NAME", help="lines of the figure"
    )
    parser.add_argument("--editors", nargs="+", metavar="NAME", help="default: every built-in editor")
    parser.add_argument("--models", nargs="+", metavar="MODEL", help="tiny models or folders (default: all tiny ones)")
    parser.add_argument("--draws", type=int, default=3, help="draws of facts (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="processes of one thread each (default: %(default)s)")
    parser.add_argument("--world-seed", type=int, default=0, help="world the models were trained on (default: 0)")
    parser.add_argument(
        "--cells", type=Path, default=Path(".results"), help="folder of measured cells (default: %(default)s)"
    )
    given = parser.parse_args(arguments)
    if given.draws < 1 or given.jobs < 1:
        parser.error("--draws and --jobs take a number from 1 on")
    disable_progress_bar()  # of loading weights; ours stays
    try:
        results(
            editors=given.editors or editor_names(),
            models=[model_entry(name) for name in given.models or tiny_models()],
            draws=given.draws,
            jobs=given.jobs,
            world_seed=given.world_seed,
            cells=given.cells,
            out=given.out,
            figure=given.figure,
            figure_model=given.figure_model,
            figure_editors=given.figure_editors,
        )
    except (ExperimentError, EditorError, FigureError, FileNotFoundError, ModelError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"interrupted; measured cells are in {given.cells}, the same command goes on from there\n")
        return 130
    return 0


def results(
    *,
    editors: Sequence[str],
    models: Sequence[ModelEntry],
    draws: int,
    jobs: int,
    world_seed: int,
    cells: Path,
    out: Path,
    figure: Path | None = None,
    figure_model: str = "tiny-gpt2",
    figure_editors: Sequence[str] = FIGURE_EDITORS,
) -> None:
    """Measure what is missing in `cells`, then write the page `out` and, if asked, the figure.

    Raises:
        ExperimentError: a stored cell is damaged, or cells failed.
        EditorError: an editor does not exist.
        ModelError: a model does not load.
        FigureError: the figure cannot be drawn.
    """
    tasks = tasks_for(editors, models, world_seed, draws, figure_model if figure else "")
    shown = list(cells_of(tasks, measure_all(tasks, cells, jobs)))
    one_by_one = [name for name in editors if not load_editor(name).tags.batch]
    stated = {
        "versions": ", ".join(f"{package} {number}" for package, number in versions().items()),
        "code": f"sources {Code.now(BENCH, editors).fingerprint}",
        "world seed": str(world_seed),
        "models": ", ".join(_model_note(entry) for entry in models),
        "device": "CPU, float32, one thread",
    }
    page = results_page(shown, stated, one_by_one)
    write_atomically(out, lambda part: part.write_text(page, encoding="utf-8"))
    if figure is not None:
        drawn = [cell for cell in shown if cell.model == figure_model and cell.editor in figure_editors]
        draw_figure(drawn, figure, one_by_one)


def _model_note(entry: ModelEntry) -> str:
    seeds = seeds_of(model_folder(entry.place))
    return entry.name if seeds is None else f"{entry.name} (training seed {seeds.training})"


if __name__ == "__main__":
    sys.exit(main())
