# SPDX-License-Identifier: Apache-2.0
"""`kedit dataset stats`, `kedit dataset convert` and `kedit dataset build`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from editing_tests.library.datasets import published
from editing_tests.library.datasets.published import written
from kedit.cli import main
from kedit.datasets import read_dataset
from kedit.datasets.building import build
from kedit.fact_files import read_facts


def test_stats_prints_both_tables_and_the_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, [published.s2rke(n) for n in range(4)])
    assert main(["dataset", "stats", str(path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "facts.json: s2rke"
    assert {
        "| Item | facts.json |",
        "| Records | 12 |",
        "| Average records per subject | 3.0 |",
        "| Person | 4 | 3 | 12 | 3.0 |",
        "| All | 4 | 3 | 12 | 3.0 |",
        "| True objects | 3 |",
        "| Neighborhood | 20 |",
    } <= set(printed)


def test_stats_as_json_with_an_option_and_skipped_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, [published.zsre(0), 7, published.zsre(1)])
    words = ["dataset", "stats", str(path), "--format", "zsre", "--option", "target=answers", "--skip-bad"]
    assert main([*words, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["statistics"]["records"] == 2
    assert (data["format"], data["options"]) == ("zsre", {"target": "answers"})
    assert data["fingerprint"] == read_dataset(path, skip_bad=True).fingerprint
    (skipped,) = data["skipped"]
    assert skipped == {"record": 2, "reason": "it is 7; give an object with the fields of zsre"}
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["skipped 1 record:", f"2: {skipped['reason']}"]


@pytest.mark.parametrize("name", ["out.json", "out.jsonl"])
def test_convert_writes_what_edit_reads(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = written(tmp_path, [published.knowedit(n) for n in range(4)]), tmp_path / "new" / name
    assert main(["dataset", "convert", str(path), str(out)]) == 0
    assert read_facts(out) == read_dataset(path).facts()
    assert out.read_text(encoding="utf-8").startswith("[") is (name == "out.json")
    assert capsys.readouterr().out.splitlines() == [
        f"wrote 4 facts of facts.json to {out}",
        "12 specificity prompts left out: a fact has no place for them",
        "4 portability prompts left out: a fact has no place for them",
    ]


def test_convert_says_that_prompts_repeat(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, [published.own(0), published.own(0) | {"target": "Chile"}])
    assert main(["dataset", "convert", str(path), str(tmp_path / "out.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["facts"] == 2
    (tmp_path / "out.json").unlink()
    assert main(["dataset", "convert", str(path), str(tmp_path / "out.json")]) == 0
    assert "1 of them repeat a prompt: edit with --each" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "files", "found"),
    [
        ("pairs", ["out/same.json", "out/distinct.json"], "kedit"),
        ("mqd", ["out/generation.json", "out/choice.json", "out/judgement.json"], "kedit"),
        ("s2rke", ["out"], "s2rke"),
    ],
)
def test_what_is_built_of_the_world_can_be_counted(
    kind: str, files: list[str], found: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dataset", "build", kind, "world", str(tmp_path / "out"), "--n", "3", "--seed", "5"]) == 0
    paths = [tmp_path / name for name in files]
    assert capsys.readouterr().out.splitlines()[: len(paths)] == [f"{path}: 3 records" for path in paths]
    for path in paths:
        assert main(["dataset", "stats", str(path), "--json"]) == 0
        data = json.loads(capsys.readouterr().out)
        assert data["format"] == found and data["prompts"]["cases"] == 3
    build(kind, "world", tmp_path / "again", n=3, seed=5)  # type: ignore[arg-type]
    assert [path.read_bytes() for path in paths] == [
        (tmp_path / name.replace("out", "again")).read_bytes() for name in files
    ]


def test_build_from_a_file_with_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    relations = ("wasBornIn", "diedIn", "livesIn")
    rows = [f"<Q{i}>\t<{relation}>\t<City_{i % 2}>" for i in range(6) for relation in relations]
    (tmp_path / "triples.tsv").write_text("\n".join([*rows, "<Q0>\t<likes>\t<Tea>"]))
    (tmp_path / "labels.tsv").write_text("\n".join(f"Q{i}\tMira Solano {i}" for i in range(6)))
    out, labels = tmp_path / "stars.json", tmp_path / "labels.tsv"
    words = ["dataset", "build", "s2rke", str(tmp_path / "triples.tsv"), str(out), "--labels", str(labels), "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out) == {
        "kind": "s2rke",
        "source": str(tmp_path / "triples.tsv"),
        "seed": 0,
        "files": {str(out): 6},
        "left_out": {"triple of another relation": 1},
    }
    assert set(read_dataset(out).by_subject()) == {f"Mira Solano {i}" for i in range(6)}


def test_wrong_files_and_wrong_usage_are_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, bad = written(tmp_path, [published.own(0)]), written(tmp_path, [published.own(0), {}], "bad.json")
    braces = published.zsre(0) | {"src": "In {} of Mira Solano 0, where?"}
    for words, message in (
        (["stats", str(bad)], "kedit: bad.json: record 2: field 'prompt' is missing; add it"),
        (["stats", str(tmp_path)], "cannot be read"),
        (["stats", str(path), "--option", "target"], "--option 'target' is not one; give NAME=VALUE"),
        (["stats", str(path), "--option", "skip_bad=1"], "--option 'skip_bad=1' is not one"),
        (["convert", str(path), str(bad)], "bad.json is there already; choose another OUT"),
        (["build", "s2rke", "world", str(bad)], "bad.json is there already; choose another OUT"),
        (["build", "pairs", "world", str(tmp_path)], "is there already; choose another OUT"),
        (["build", "pairs", str(bad), str(tmp_path / "out.json")], "kedit: bad.json: record 2: field 'prompt' is"),
        (["build", "mqd", str(tmp_path / "no.tsv"), str(tmp_path / "out.json")], "no.tsv: cannot be read"),
        (
            ["convert", str(written(tmp_path, [braces], "braces.json")), str(tmp_path / "out.json")],
            "fact '1': field 'prompt' has '{}' before the subject; leave this fact out",
        ),
    ):
        assert main(["dataset", *words]) == 2
        caught = capsys.readouterr()
        assert message in caught.err and not caught.out
    assert not (tmp_path / "out.json").exists()
