# SPDX-License-Identifier: Apache-2.0
"""What is lacking in facts of one's own is told once, before anything is measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from editing_tests.library.experiments.protocol_rows import rows_given
from kedit.cli import parser
from kedit.commands.experiments import experiment
from kedit.experiments.declared import EXPERIMENTS
from kedit.experiments.experiment import ExperimentError
from kedit.experiments.needs import PERPLEXITY, PROMPTS, check_source
from kedit.experiments.sources import open_source


def file_of(folder: Path, **fields: list[str]) -> str:
    """Two facts in CounterFact's format; `fields` are those of the second."""
    whole: dict[str, Any] = {"paraphrase_prompts": ["So, Ann lives in"], "neighborhood_prompts": ["Bob lives in"]}
    rewrite = {"prompt": "{} lives in", "target_new": {"str": "Rome"}, "target_true": {"str": "Oslo"}}
    records = [
        {"case_id": number, "requested_rewrite": {**rewrite, "subject": name}, **whole, **more}
        for number, (name, more) in enumerate((("Ann", {}), ("Eve", fields)))
    ]
    path = folder / "facts.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"paraphrase_prompts": []}, r"'paraphrases' is empty in 1 of 2 facts, .*, and s2rke-figure-3 scores it"),
        ({"neighborhood_prompts": []}, r"'neighborhood' is empty in 1 of 2 facts"),
    ],
)
def test_facts_without_prompts_are_named(tmp_path: Path, fields: dict[str, list[str]], message: str) -> None:
    source = open_source(file_of(tmp_path, **fields))
    with pytest.raises(ExperimentError, match=message):
        check_source(source, [EXPERIMENTS["s2rke-figure-3"]])
    check_source(source, [EXPERIMENTS["s2rke-figure-6"], EXPERIMENTS["merge-table-1"]])  # they score none of these


def test_texts_are_asked_for(tmp_path: Path) -> None:
    facts, texts = file_of(tmp_path), tmp_path / "texts.txt"
    check_source(open_source(facts), [EXPERIMENTS["s2rke-figure-3"]])
    with pytest.raises(ExperimentError, match="50 texts and 0 were given"):
        check_source(open_source(facts), [EXPERIMENTS["s2rke-figure-2"]])
    texts.write_text("\n".join(f"Text {number}." for number in range(50)), encoding="utf-8")
    check_source(open_source(facts, str(texts)), [EXPERIMENTS["s2rke-figure-2"]])


def test_the_command_asks_first(tmp_path: Path) -> None:
    words = ["s2rke-figure-2", "--model", "tiny-gpt2", "--facts", file_of(tmp_path), "--out", str(tmp_path / "out")]
    with pytest.raises(ExperimentError, match="50 texts and 0 were given"):
        experiment(parser().parse_args(["experiment", "run", *words]))
    (tmp_path / "few.txt").write_text("One text.\n", encoding="utf-8")
    with pytest.raises(ExperimentError, match="50 texts and 1 were given"):
        experiment(parser().parse_args(["experiment", "run", *words, "--texts", str(tmp_path / "few.txt")]))
    assert not (tmp_path / "out").exists()


def test_questions_of_ones_own_do_for_specificity(tmp_path: Path) -> None:
    """zsRE, the data of D4S: one paraphrase, no neighbors, a question whose answer must stay."""
    record = {
        "subject": "Lake Orvin",
        "src": "Which country is Lake Orvin in?",
        "rephrase": "Lake Orvin lies in which country?",
        "alt": "Chile",
        "answers": ["Peru"],
        "loc": "nq question: who wrote the song river bend",
        "loc_ans": "Ann Dale",
    }
    (tmp_path / "zsre.json").write_text(json.dumps([record]), encoding="utf-8")
    (tmp_path / "texts.txt").write_text("\n".join(f"Text {number}." for number in range(50)), encoding="utf-8")
    source = open_source(str(tmp_path / "zsre.json"), str(tmp_path / "texts.txt"))
    (facts,) = source.sampler.groups.values()
    assert source.specificity(facts[0]) == ((record["loc"], "Ann Dale"),)
    check_source(source, [EXPERIMENTS["d4s-table-2"]])
    with pytest.raises(ExperimentError, match="'neighborhood' is empty"):
        check_source(source, [EXPERIMENTS["s2rke-figure-3"]])


def test_needs_are_those_of_the_numbers_that_protocols_give() -> None:
    for series in (series for one in EXPERIMENTS.values() for series in one.series if series.protocol != "counts"):
        metrics = {row[0] for row in rows_given(series.protocol, series.editor, series.config, series.parameters)}
        assert ("PS" in metrics) is (series.protocol in PROMPTS | {"paired-batch"}), series
        assert ("PPL" in metrics) is (series.protocol in PERPLEXITY), series
