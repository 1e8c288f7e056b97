# SPDX-License-Identifier: Apache-2.0
"""Write docs/reproduction.md from measured rows.

`python -m kedit.experiments.reproduction --from DIR --out docs/reproduction.md --figures docs/reproduction`
"""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from kedit.experiments.declared import EXPERIMENTS
from kedit.experiments.declared.printed import printed
from kedit.experiments.experiment import Experiment, ExperimentError
from kedit.experiments.figures import draw_experiment
from kedit.experiments.reproduction_page import in_order, reproduction_page
from kedit.experiments.tidy import Measured, read_tidy
from kedit.files import write_atomically

__all__ = ["main", "read_causes", "read_rows"]

CAUSES = Path(__file__).with_name("causes.toml")


def main(arguments: Sequence[str] | None = None, experiments: Mapping[str, Experiment] = EXPERIMENTS) -> int:
    """Command line.

    Args:
        arguments: the words of the command line.
        experiments: name -> experiment.

    Returns:
        The exit status: 0, 1 for a page that is stale under `--check`, 2 for wrong input.
    """
    parser = argparse.ArgumentParser(
        prog="python -m kedit.experiments.reproduction",
        description="Write the page that sets the papers' claims beside measured numbers.",
    )
    parser.add_argument("--from", dest="source", type=Path, required=True, metavar="DIR", help="where the CSVs are")
    parser.add_argument(
        "--out", type=Path, default=Path("docs/reproduction.md"), help="the page (default: %(default)s)"
    )
    parser.add_argument("--figures", type=Path, metavar="DIR", help="also draw the figures there, and show them")
    parser.add_argument("--causes", type=Path, default=CAUSES, help="TOML: experiment = why ours differs")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the page is stale")
    given = parser.parse_args(arguments)
    try:
        rows = read_rows(experiments, given.source)
        links: dict[str, str] = {}
        if given.figures is not None:
            for experiment in in_order(experiments[name] for name in rows):
                path = given.figures / f"{experiment.name}.svg"
                links[experiment.name] = Path(os.path.relpath(path, given.out.parent)).as_posix()
                if not given.check:
                    draw_experiment(experiment, rows[experiment.name], path)
        beside = {name: printed(experiment) for name, experiment in experiments.items()}
        page = reproduction_page(experiments, rows, read_causes(given.causes), published=beside, figures=links)
    except ExperimentError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    if given.check:
        if given.out.is_file() and given.out.read_text(encoding="utf-8") == page:
            return 0
        sys.stderr.write(f"{given.out} is not what {given.source} says; write it again without --check\n")
        return 1
    write_atomically(given.out, lambda part: part.write_text(page, encoding="utf-8"))
    return 0


def read_rows(experiments: Mapping[str, Experiment], folder: Path) -> dict[str, tuple[Measured, ...]]:
    """Rows of every experiment that has a CSV in the folder.

    Raises:
        ExperimentError: none has, or one is damaged.
    """
    found = {name: read_tidy(path) for name in experiments if (path := folder / f"{name}.csv").is_file()}
    found = {name: rows for name, rows in found.items() if rows}
    if not found:
        raise ExperimentError(f"{folder} has no CSV of an experiment; run some with --out {folder}")
    return found


def read_causes(path: Path) -> dict[str, str]:
    """Experiment -> why ours differs.

    Raises:
        ExperimentError: the file cannot be read, or holds something other than texts.
    """
    try:
        causes = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ExperimentError(f'{path} cannot be read as TOML ({error}); write `experiment = "text"`') from error
    for name, text in causes.items():
        if not isinstance(text, str) or not text.strip():
            raise ExperimentError(f"{path}: {name} is not a text; write why ours differs")
    return causes


if __name__ == "__main__":
    sys.exit(main())
