# SPDX-License-Identifier: Apache-2.0
"""`kedit probe`, as it is typed."""

from __future__ import annotations

import json
import re
import tomllib
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch

from kedit.cli import main
from kedit.commands import running
from kedit.commands.progress import Progress
from kedit.fact_files import record_of_fact
from kedit.models.architectures import ARCHITECTURES
from kedit.paths import model_folder
from kedit.probing import families
from kedit.probing.knowledge import FactPool, neutral_facts
from kedit.worlds import Sampler, World

COMMIT = "0123456789abcdef0123456789abcdef01234567"


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


def test_a_damaged_configuration(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads((bare / "config.json").read_text())
    (bare / "config.json").unlink()
    (bare / "config.json").write_text(json.dumps(told | {"n_head": "x"}))
    assert main(["probe", str(bare)]) == 2
    assert re.match(r"kedit: no model can be made of \S*config.json \(.*\); copy the folder", capsys.readouterr().err)


def test_without_any_facts_the_sentences_are_neutral(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kedit.commands.probing.fact_pool", lambda *_args: FactPool("a file", {}))
    assert main(["probe", "tiny-gpt2", "--layers", "1", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    (offsets,) = [one for one in data["findings"]["tokenizer"] if one["check"] == "offsets"]
    assert f"every sign of {len(neutral_facts())} sentences" in offsets["text"]
    assert "none of 0 facts" in data["untraced"]


def test_a_model_that_does_not_fit_is_not_read(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (bare / "model.safetensors").unlink()
    assert main(["probe", str(bare), "--device", "nonsense"]) == 2
    assert "device nonsense cannot be used" in capsys.readouterr().err
    monkeypatch.setattr("kedit.models.memory.memory_at_hand", lambda _device: 2**20)
    assert main(["probe", str(bare)]) == 2
    told = capsys.readouterr().err
    assert re.search(r"mine needs 0.\d\d GiB on cpu \(weights 0.\d\d\) and 0.00 GiB are at hand", told)


def test_running_out_of_memory_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has")

    monkeypatch.setattr(running, "COMMANDS", {"probe": fail})
    assert main(["probe", "tiny-gpt2"]) == 1
    assert re.fullmatch(r"kedit: the device has too little memory .*bfloat16.*\n", capsys.readouterr().err)


def test_a_model_of_the_hub_is_called_by_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = tmp_path / "models--me--mine" / "snapshots" / COMMIT
    snapshot.parent.mkdir(parents=True)
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text(COMMIT)
    snapshot.symlink_to(model_folder("tiny-gpt2"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert main(["probe", "me/mine", "-n", "1", "--layers", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "mine"
    facts = tmp_path / "facts.json"
    facts.write_text('[{"prompt": "{} is in", "subject": "Rome", "target": "Peru", "true": "Italy"}]')
    session = str(tmp_path / "session")
    words = ["edit", session, "--model", "me/mine", "--facts", str(facts)]
    assert main([*words, "--editor", "editing_tests.library.sessions.counting:Counting"]) == 0
    capsys.readouterr()
    assert main(["log", session, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "me/mine"
    assert main(["undo", session]) == 0


def test_progress_says_what_is_left(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter([0.0, 10.0, 40.0, 50.0, 90.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    progress = Progress("facts traced", every=30.0)
    for done in range(1, 5):
        progress.tell(done, 4)
    assert capsys.readouterr().err == "2/4 facts traced, 0:00:40 left\n"
