# SPDX-License-Identifier: Apache-2.0
"""`kedit probe`, as it is typed."""

from __future__ import annotations

import json
import re
import tomllib
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from kedit.cli import main
from kedit.fact_files import record_of_fact
from kedit.models.architectures import ARCHITECTURES
from kedit.paths import model_folder
from kedit.probing import families
from kedit.worlds import Sampler, World


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A tiny model's folder without its card."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for path in model_folder("tiny-gpt2").iterdir():
        if path.name != "card.json":
            (folder / path.name).symlink_to(path)
    return folder


def test_the_answer_as_json_with_a_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    words = [
        "probe",
        "tiny-gptj",
        "-n",
        "3",
        "--layers",
        "1",
        "2",
        "3",
        "--seed",
        "1",
        "--device",
        "cpu",
        "--dtype",
        "float32",
    ]
    figure = tmp_path / "probe.svg"
    assert main([*words, "--figure", str(figure), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["problems"], data["row"]["down"], data["layers"]) == (0, "mlp.fc_out", [1, 2, 3])
    assert [len(found) for found in data["findings"].values()] == [5, 8, 2]
    assert data["tracing"]["facts"] == 3 and len(data["tracing"]["average"]["block"][2]) == 6
    assert data["recommended"]["layers"] == data["recommended"]["preset"] == [1, 2]
    assert tomllib.loads(data["recommended"]["toml"]) == {"layers": [1, 2]}
    assert ET.parse(figure).getroot().get("width") == "864pt"
    first = figure.read_bytes()
    assert main([*words, "--figure", str(figure)]) == 0
    assert figure.read_bytes() == first and b"<dc:date>" not in first
    lines = capsys.readouterr().out.splitlines()
    assert "recommended layers: 1, 2 (preset of memit: 1, 2)" in lines
    assert lines[-2:] == ["", f"wrote {figure}"]


def test_without_known_facts_all_but_tracing_is_done(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", str(bare), "--layers", "0", "2"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"the model knows none of \d+ facts of common-knowledge", printed) and "--facts FILE" in printed
    assert "AKD one subject" in printed and "layers 0, 2" in printed and "recommended layers" not in printed


def test_facts_of_a_file(bare: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = Sampler(World.generate(0)).distinct(3, 0)
    path = tmp_path / "facts.json"
    path.write_text(json.dumps([record_of_fact(fact) for fact in facts]))
    assert main(["probe", str(bare), "--facts", str(path), "--layers", "1", "2", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert sorted(data["tracing"]["prompts"]) == sorted(fact.prompt.text for fact in facts)
    path.write_text(json.dumps([record_of_fact(replace(fact, true="Nowhere")) for fact in facts]))
    assert main(["probe", str(bare), "--facts", str(path), "--layers", "1"]) == 0
    assert "the model knows none of 3 facts of facts.json" in capsys.readouterr().out


def test_an_unknown_family_says_what_a_row_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bloom", "n_layer": 3, "hidden_size": 16, "n_head": 2}')
    assert main(["probe", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("kedit: model family 'bloom' has no row in the architecture table (known: gemma, gpt2,")
    assert "`down`, the linear map" in told
    assert "3 blocks at 'transformer.h'" in told and "mlp.dense_4h_to_h (16, 64)" in told
    (tmp_path / "config.json").write_text('{"model_type": "no-such-thing"}')
    assert main(["probe", str(tmp_path)]) == 2
    assert "transformers cannot build the model" in capsys.readouterr().err
    (tmp_path / "config.json").write_text("{}")
    assert main(["probe", str(tmp_path)]) == 2
    assert "config.json names no model_type" in capsys.readouterr().err


def test_a_row_with_a_path_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = replace(ARCHITECTURES["gpt2"], down="mlp.dense")
    monkeypatch.setattr(families, "ARCHITECTURES", {"gpt2": wrong})
    assert main(["probe", "tiny-gpt2"]) == 2
    told = capsys.readouterr().err
    assert "names 'mlp.dense', and tiny-gpt2 has no module 'transformer.h.0.mlp.dense'" in told
    assert "mlp.c_proj" in told


def test_a_wrong_row_is_a_problem_and_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = replace(ARCHITECTURES["gpt2"], down="attn.c_proj")
    monkeypatch.setattr("kedit.models.language_model.architecture_of", lambda _family: wrong)
    assert main(["probe", "tiny-gpt2", "--layers", "1"]) == 1
    said = capsys.readouterr()
    assert said.err == "kedit: tiny-gpt2: 1 problem (residual)\n"
    assert "hooks do not work, so nothing can be restored" in said.out


def test_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (["nowhere"], "neither one of tiny-gpt2"),
        (["tiny-gpt2", "--figure", str(tmp_path / "a.pdf")], "figures are .svg or .png files"),
        (["tiny-gpt2", "-n", "0"], "give at least one"),
        (["tiny-gpt2", "--layers", "9"], "not all in 0..4"),
    ):
        assert main(["probe", *words]) == 2
        assert message in capsys.readouterr().err
