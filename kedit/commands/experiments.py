# SPDX-License-Identifier: Apache-2.0
"""`kedit experiment`: list, run and report the papers' figures and tables."""

from __future__ import annotations

import difflib
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from kedit.commands.answers import Answer, plural
from kedit.experiments.cells import CellFolder
from kedit.experiments.collecting import Report, report_folder
from kedit.experiments.declared.paper_size import SUFFIX
from kedit.experiments.declared.printed import printed
from kedit.experiments.experiment import Experiment, ExperimentError
from kedit.experiments.grid import Bench, SourceFiles, model_entry, named, request_for, tasks_of
from kedit.experiments.measuring import Outcome
from kedit.experiments.needs import check_source
from kedit.experiments.progress import Progress
from kedit.experiments.reporting import write_report
from kedit.experiments.requests import write_requests
from kedit.experiments.running import missing_tasks, run
from kedit.experiments.tidy import Measured
from kedit.paths import tiny_models

__all__ = ["experiment"]

ALL = "all"


def experiment(options: Namespace, bench: Bench | None = None, report: Report | None = None) -> Answer:
    """The command that `options.word` names, with the experiments of `bench`."""
    chosen = bench or Bench()
    declared: Mapping[str, Experiment] = named(chosen.experiments)
    if options.word == "list":
        return _listed(declared)
    if options.word == "run":
        return _run(options, chosen, declared)
    return _reported(Path(options.folder), declared, report)


def _listed(declared: Mapping[str, Experiment]) -> Answer:
    rows = [
        {
            "name": one.name,
            "paper": one.paper,
            "item": one.item,
            "title": one.title,
            "cells": len(one.series) * one.repeats * len(one.models or tiny_models()),
        }
        for one in declared.values()
    ]
    width = max((len(one.name) for one in declared.values()), default=0)
    lines = [
        f"{row['name']:{width}}  {row['paper']}, {row['item']}: {row['title']} ({row['cells']} cells)" for row in rows
    ]
    return Answer({"experiments": rows}, lines)


def _run(options: Namespace, bench: Bench, declared: Mapping[str, Experiment]) -> Answer:
    folder = Path(options.out)
    chosen = _chosen(options.names, declared)
    names = {one.name: options.model or one.models or tiny_models() for one in chosen}
    entries = {name: model_entry(name) for name in dict.fromkeys(name for found in names.values() for name in found)}
    files = SourceFiles.of(options.facts, options.texts)
    if files != SourceFiles():
        check_source(named(bench.source)(files.facts, files.texts), chosen)
    requests = {
        one.name: request_for(
            one,
            [entries[name] for name in dict.fromkeys(names[one.name])],
            bench,
            repeats=options.repeats,
            files=files,
        )
        for one in chosen
    }
    tasks = [task for one in chosen for _, task in tasks_of(one, requests[one.name])]
    cells = CellFolder(folder)
    outcomes = run(tasks, cells, jobs=options.jobs)
    write_requests(folder, requests)
    try:
        with closing(outcomes), Progress(missing_tasks(tasks, cells), cells, jobs=options.jobs) as progress:
            failed = _failures(outcomes, progress)
    except KeyboardInterrupt:
        return Answer({}, [], f"interrupted; finished cells are in {folder}, the same command goes on from there")
    lines = [f"failed: {error}" for error in failed]
    if failed:
        failure = f"{plural(len(failed), 'cell')} failed; the others are stored, and the same command tries again"
        return Answer({}, lines, failure)
    return Answer({}, [f"all cells are measured; kedit experiment report {folder} makes tables and figures of them"])


def _failures(outcomes: Iterable[Outcome], progress: Progress) -> list[str]:
    """Errors of the cells that failed, after all have ended."""
    failed = []
    for outcome in outcomes:
        progress.tell(outcome)
        if outcome.error:
            failed.append(outcome.error)
    return failed


def _chosen(names: Sequence[str], declared: Mapping[str, Experiment]) -> list[Experiment]:
    if ALL in names:
        return [one for name, one in declared.items() if not name.endswith(SUFFIX)]
    for name in names:
        if name not in declared:
            close = difflib.get_close_matches(name, declared, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "kedit experiment list names all"
            raise ExperimentError(f"there is no experiment {name!r}; {hint}")
    return [declared[name] for name in dict.fromkeys(names)]


def _reported(folder: Path, declared: Mapping[str, Experiment], report: Report | None) -> Answer:
    lines = []
    missing = problems = 0
    for one in report_folder(folder, declared, report or _written):
        lines.append(f"{one.experiment.name}: {one.asked - len(one.missing)} of {plural(one.asked, 'cell')}")
        if not one.is_current:
            lines.append("  measured with other sources than these; run it again to measure anew")
        if one.problem:
            lines.append(f"  no report: {one.problem}")
        lines += [f"  missing: {task}" for task in one.missing]
        missing += len(one.missing)
        problems += bool(one.problem)
    failed = [f"{plural(missing, 'cell')} missing"] if missing else []
    failed += [f"{plural(problems, 'report')} not made"] if problems else []
    return Answer({}, lines, f"{' and '.join(failed)}; run the experiment again" if failed else "")


def _written(experiment: Experiment, rows: Sequence[Measured], folder: Path, missing: Sequence[str]) -> None:
    """Page and figure of an experiment, with what its paper prints."""
    write_report(experiment, rows, folder, missing, published=printed(experiment))
