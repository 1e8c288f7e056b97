# SPDX-License-Identifier: Apache-2.0
"""Data sets built from files and from the world, into files that are read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from kedit.datasets import read_dataset
from kedit.datasets.building import WORLD, Kind, build
from kedit.datasets.errors import DatasetError
from kedit.datasets.mqd import WORDING
from kedit.paths import fixtures_dir
from kedit.worlds import World
from kedit.worlds.pairs import world_pairs
from kedit.worlds.question_types import world_question_types

RECORDS = fixtures_dir() / "world" / "seed-0.json"


def read(path: Path) -> list[tuple[str, str, str]]:
    return [(fact.prompt.text, fact.subject, fact.target) for fact in read_dataset(path).facts()]


def test_pairs_of_a_file_of_facts(tmp_path: Path) -> None:
    built = build("pairs", RECORDS, tmp_path, n=5, seed=3)
    assert built.files == {tmp_path / "same.json": 5, tmp_path / "distinct.json": 5}
    same, distinct = (read(path) for path in built.files)
    assert len({subject for _, subject, _ in same}) == 1
    assert len({subject for _, subject, _ in distinct}) == 5
    assert [target for *_, target in same] == [target for *_, target in distinct]
    assert "The capital city of America is" in built.lines[-1]


def test_the_world_is_a_source(tmp_path: Path) -> None:
    world = World.generate(0)
    for path, facts in zip(build("pairs", WORLD, tmp_path / "p", n=4).files, world_pairs(world, 4, 0), strict=True):
        assert read_dataset(path).facts() == tuple(facts)
    built = build("mqd", WORLD, tmp_path / "q", n=4)
    assert [path.name for path in built.files] == ["generation.json", "choice.json", "judgement.json"]
    for path, kind in zip(built.files, ("DG", "MQ", "T/F"), strict=True):
        assert read_dataset(path).facts() == tuple(world_question_types(world, 4, 0, kind))  # type: ignore[arg-type]
    build("s2rke", WORLD, tmp_path / "s.json")
    assert read_dataset(tmp_path / "s.json").facts() == tuple(world.facts())
    assert build("s2rke", WORLD, tmp_path / "few.json", n=3).files == {tmp_path / "few.json": 3}


def test_files_of_atomic_and_of_triples(tmp_path: Path) -> None:
    names = list(WORDING)
    rows = [f"PersonX does thing {i}\t{names[i % 9]}\tto follow {i}" for i in range(30)]
    (tmp_path / "atomic.tsv").write_text("\n".join([*rows, "PersonX rests\txWant\tnone"]))
    built = build("mqd", tmp_path / "atomic.tsv", tmp_path / "q", n=6)
    assert list(built.files.values()) == [6, 6, 6]
    assert built.left_out == {"no event": 1}
    assert "left out: no event, 1" in built.lines
    assert {target for *_, target in read(tmp_path / "q" / "judgement.json")} == {"yes", "no"}

    facts = ("<wasBornIn>", "<diedIn>", "<livesIn>")
    triples = [f"<P{i}>\t{relation}\t<City_{i % 2}>" for i in range(6) for relation in facts]
    (tmp_path / "triples.tsv").write_text("\n".join(triples))
    (tmp_path / "labels.tsv").write_text("P0\tMira Solano\tcellist")
    out = tmp_path / "stars.json"
    assert build("s2rke", tmp_path / "triples.tsv", out, labels=tmp_path / "labels.tsv").files == {out: 6}
    dataset = read_dataset(out)
    assert dataset.format == "s2rke"
    assert {fact.subject for fact in dataset.facts()} == {"Mira Solano", "P1", "P2", "P3", "P4", "P5"}
    assert any("Mira Solano, cellist, " in f"{text} " for fact in dataset.facts() for text in fact.paraphrases)


@pytest.mark.parametrize("kind", ["pairs", "mqd", "s2rke"])
def test_equal_seeds_give_equal_files(tmp_path: Path, kind: Kind) -> None:
    first, second, other = (
        [path.read_bytes() for path in build(kind, WORLD, tmp_path / name, n=3, seed=seed).files]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == second
    assert (first == other) is (kind == "s2rke")  # the world's records are what they are


def test_wrong_wishes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot build 'zsre'"):
        build("zsre", WORLD, tmp_path)  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="labels are for s2rke"):
        build("pairs", RECORDS, tmp_path, labels=RECORDS)
    with pytest.raises(DatasetError, match="labels are for s2rke"):
        build("s2rke", WORLD, tmp_path / "x.json", labels=RECORDS)
    with pytest.raises(DatasetError, match="cannot draw 0 subjects"):
        build("s2rke", WORLD, tmp_path / "x.json", n=0)
    assert not list(tmp_path.iterdir())
