# SPDX-License-Identifier: Apache-2.0
"""`kedit dataset`: the statistics of a data set, its facts in kedit's own format, and data sets that are built."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from kedit.commands.answers import Answer, plural
from kedit.datasets import Dataset, DatasetError, read_dataset
from kedit.datasets.building import build
from kedit.datasets.statistics import count_prompts, counted, measure, tables
from kedit.fact_files import record_of_fact
from kedit.files import write_atomically

__all__ = ["dataset"]


def dataset(options: Namespace) -> Answer:
    """The command behind the word that follows `dataset`."""
    return {"stats": _stats, "convert": _convert, "build": _build}[options.word](options)


def _stats(options: Namespace) -> Answer:
    """S2RKE's tables 1 and 2, and how many prompts and objects there are."""
    found = _read(options)
    statistics, prompts = measure(counted(found)), count_prompts(found)
    named = ", ".join(f"{name} {value}" for name, value in found.options.items())
    lines = [f"{found.source}: {found.format}" + (f", {named}" if named else ""), ""]
    lines += [tables(statistics, found.source), "", "| Item | Number |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ').capitalize()} | {number} |" for name, number in asdict(prompts).items()]
    data = _about(found) | {"statistics": asdict(statistics), "prompts": asdict(prompts)}
    return Answer(data, [*lines, *_skipped(found)])


def _convert(options: Namespace) -> Answer:
    """The facts as a file that `kedit edit --facts` takes; JSON Lines if its name ends in `.jsonl`, else a list."""
    out = _free(options.out)
    found = _read(options)
    rows = [json.dumps(record_of_fact(fact), ensure_ascii=False) for fact in found.facts()]
    text = "\n".join(rows) if out.suffix == ".jsonl" else "[\n" + ",\n".join(rows) + "\n]"
    write_atomically(out, lambda part: part.write_text(text + "\n", encoding="utf-8"))
    prompts = count_prompts(found)
    left_out = {"specificity": prompts.specificity, "portability": prompts.portability}
    lines = [f"wrote {plural(len(rows), 'fact')} of {found.source} to {out}"]
    for name, n in left_out.items():
        if n:
            lines.append(f"{plural(n, f'{name} prompt')} left out: a fact has no place for them")
    if prompts.prompts < len(rows):
        again = len(rows) - prompts.prompts
        lines.append(f"{again} of them repeat a prompt: edit with --each, one batch cannot hold both")
    data = _about(found) | {"out": str(out), "facts": len(rows), "left_out": left_out}
    return Answer(data, [*lines, *_skipped(found)])


def _build(options: Namespace) -> Answer:
    """A data set of one of the papers, made from a file or from the tiny world."""
    built = build(
        options.kind, options.source, _free(options.out), n=options.n, seed=options.seed, labels=options.labels
    )
    data = {
        "kind": options.kind,
        "source": options.source,
        "seed": options.seed,
        "files": {str(path): number for path, number in built.files.items()},
        "left_out": dict(built.left_out),
    }
    return Answer(data, built.lines)


def _free(out: str) -> Path:
    """The place to write to, where nothing is yet."""
    path = Path(out)
    if path.exists():
        raise DatasetError(f"{path} is there already; choose another OUT")
    return path


def _read(options: Namespace) -> Dataset:
    chosen = {}
    for given in options.option:
        name, sign, value = given.partition("=")
        if not sign or name in ("source", "format", "skip_bad"):
            raise DatasetError(f"--option {given!r} is not one; give NAME=VALUE, such as target=answers")
        chosen[name] = value
    return read_dataset(options.file, options.format, skip_bad=options.skip_bad, **chosen)


def _about(found: Dataset) -> dict[str, object]:
    return {
        "source": found.source,
        "format": found.format,
        "options": dict(found.options),
        "fingerprint": found.fingerprint,
        "skipped": [asdict(one) for one in found.skipped],
    }


def _skipped(found: Dataset) -> Sequence[str]:
    """What was left out, a line a record."""
    if not found.skipped:
        return ()
    return ("", f"skipped {plural(len(found.skipped), 'record')}:", *(f"{o.record}: {o.reason}" for o in found.skipped))
