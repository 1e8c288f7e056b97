# SPDX-License-Identifier: Apache-2.0
"""Builds data sets from files, or from the tiny world, into files of facts or of S2RKE records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from kedit.datasets.errors import DatasetError
from kedit.datasets.mqd import question_types, read_atomic
from kedit.datasets.pairs import UNRELATED, pairs
from kedit.datasets.questions import QuestionType
from kedit.datasets.reading import read_dataset
from kedit.datasets.star_building import build_stars
from kedit.datasets.triples import read_labels, read_triples
from kedit.fact_files import record_of_fact
from kedit.facts import Fact
from kedit.files import write_atomically
from kedit.worlds.pairs import world_pairs
from kedit.worlds.question_types import world_question_types
from kedit.worlds.world import World

__all__ = ["DEFAULT_N", "WORLD", "Building", "Kind", "build"]

Kind = Literal["pairs", "s2rke", "mqd"]
WORLD = "world"
"""The source that is no file: the tiny world."""
DEFAULT_N: Mapping[Kind, int] = MappingProxyType({"pairs": 10, "mqd": 100})
_QUESTION_FILES: Mapping[QuestionType, str] = MappingProxyType(
    {"DG": "generation.json", "MQ": "choice.json", "T/F": "judgement.json"}
)


@dataclass(frozen=True, slots=True)
class Building:
    """What was built.

    Attributes:
        files: the files written, and how many records each holds.
        left_out: how much of the source was left out, by reason.
        lines: the same for people.
    """

    files: Mapping[Path, int]
    left_out: Mapping[str, int]
    lines: Sequence[str]


def build(
    kind: Kind,
    source: str | Path,
    out: str | Path,
    *,
    n: int | None = None,
    seed: int = 0,
    labels: str | Path | None = None,
) -> Building:
    """Build a data set.

    - `pairs` reads facts of any format and writes `same.json` and `distinct.json` into the folder `out`.
    - `mqd` reads ATOMIC's rows and writes `generation.json`, `choice.json` and `judgement.json` into the folder `out`.
    - `s2rke` reads triples and writes the file `out`.

    Args:
        kind: what to build.
        source: the file to read, or `WORLD`.
        out: see above; files that are there are replaced.
        n: facts in each file, or subjects; `DEFAULT_N` if left out, and all subjects for `s2rke`.
        seed: equal seeds give equal files.
        labels: file of names and descriptions of entities, for `s2rke` from a file.

    Raises:
        DatasetError: unknown kind, or the source cannot be read or does not suffice.
    """
    if kind not in get_args(Kind):
        raise DatasetError(f"cannot build {kind!r}; take one of {', '.join(get_args(Kind))}")
    if labels is not None and (kind != "s2rke" or source == WORLD):
        raise DatasetError("labels are for s2rke from a file; leave them out")
    folder, count = Path(out), DEFAULT_N.get(kind, 0) if n is None else n
    world = World.generate(0) if source == WORLD else None
    left_out: Mapping[str, int] = {}
    notes: list[str] = []
    if kind == "s2rke":
        if world is not None:
            records = _some(world, n)
        else:
            names = read_labels(labels) if labels is not None else None
            built = build_stars(read_triples(source), seed, n=n, labels=names)
            records, left_out = built.records, built.left_out
        files = {Path(out): records}
    elif kind == "pairs":
        same, distinct = (
            pairs(read_dataset(source).facts(), count, seed) if world is None else world_pairs(world, count, seed)
        )
        files = {folder / "same.json": _records(same), folder / "distinct.json": _records(distinct)}
        notes.append(f"The prompt about unrelated knowledge is one for all: {UNRELATED!r}.")
    else:
        if world is None:
            atomic = read_atomic(source)
            made, left_out = question_types(atomic.rows, count, seed), atomic.left_out
        else:
            made = {question: world_question_types(world, count, seed, question) for question in _QUESTION_FILES}
        files = {folder / name: _records(made[question]) for question, name in _QUESTION_FILES.items()}
    for path, rows in files.items():
        _write(path, rows)
    written = {path: len(rows) for path, rows in files.items()}
    lines = [f"{path}: {number} records" for path, number in written.items()]
    lines += [f"left out: {reason}, {number}" for reason, number in left_out.items()]
    return Building(MappingProxyType(written), left_out, lines + notes)


def _some(world: World, n: int | None) -> list[dict[str, Any]]:
    records = world.records()
    if n is not None and not 1 <= n <= len(records):
        raise DatasetError(f"cannot draw {n} subjects: the world has {len(records)}; ask for one to that many")
    return records[:n]


def _records(facts: Sequence[Fact]) -> list[dict[str, Any]]:
    return [record_of_fact(fact) for fact in facts]


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    text = json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))
