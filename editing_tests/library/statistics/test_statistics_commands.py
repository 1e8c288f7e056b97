# SPDX-License-Identifier: Apache-2.0
"""`kedit statistics`: end to end, as JSON, and with wrong input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from editing_tests.library.models.fake_devices import ONE, fake_devices, place, put
from editing_tests.library.random_models import random_model
from editing_tests.library.statistics.shard_examples import TEXTS, collected, damage, matrices
from kedit import cli
from kedit.commands.answers import load_model
from kedit.editors import load_editor
from kedit.facts import Fact, Prompt
from kedit.sessions import EditSession
from kedit.statistics import StatisticsError, second_moments
from kedit.statistics.gram import add_keys
from kedit.statistics.shards import sha256_of
from kedit.statistics.spectrum import spectrum
from kedit.statistics.store import home_of, metadata_of
from kedit.statistics.verifying import verify


class Command:
    """Runs `kedit statistics` in this process; `out` and `err` are what it said last."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *words: str) -> int:
        status = cli.main(["statistics", *words])
        self.out, self.err = self._capsys.readouterr()
        return status

    def json(self, *words: str) -> Any:
        assert self(*words, "--json") == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """In a folder with a random model and texts, and with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEDIT_CACHE", str(tmp_path / "cache"))
    random_model("gpt2").save(tmp_path / "model")
    Path("texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    capsys.readouterr()  # transformers tells how far it has written
    return Command(capsys)


COLLECT = ("collect", "model", "--corpus", "texts.txt", "--layers", "0", "2-3", "--tokens", "3000")


def test_collect_tells_before_what_it_takes_and_after_what_it_found(command: Command) -> None:
    assert command(*COLLECT, "--out", "moments") == 0, command.err
    assert "3000 tokens of texts.txt for layers 0, 2, 3, keys of size 24: about 0:00:0" in command.err
    assert "memory: " in command.err and "disk: " in command.err
    assert "shard 1 of 1: 3000 tokens" in command.out
    assert [line.split()[:4] for line in command.out.splitlines() if line.startswith("    ")] == [
        [layer, "3,000", "125.0", "24/24"] for layer in "023"
    ]
    assert sorted(path.name for path in Path("moments").glob("*.safetensors")) == [
        "layer-0.safetensors", "layer-2.safetensors", "layer-3.safetensors", "shard-1-of-1.safetensors"
    ]  # fmt: skip


def test_a_dry_run_only_estimates(command: Command) -> None:
    found = command.json(*COLLECT, "--dry-run")
    assert found["estimate"]["tokens"] == 3000 and found["estimate"]["seconds"] > 0
    assert not Path("cache").exists()


def test_shards_and_merge(command: Command) -> None:
    first = command.json(*COLLECT, "--out", "moments", "--shard", "2/2")
    assert first["waiting"] == [1] and "layers" not in first
    assert command("merge", "moments") == 2 and "lacks shards 1 of 2" in command.err
    last = command.json(*COLLECT, "--out", "moments", "--shard", "1/2")
    assert [(row["layer"], row["tokens"]) for row in last["layers"]] == [(0, 3000), (2, 3000), (3, 3000)]
    assert 1 < last["layers"][0]["effective_rank"] < 24
    again = command.json("merge", "moments")
    assert again["layers"][0]["condition"] == pytest.approx(last["layers"][0]["condition"])


def test_a_model_without_a_corpus_edits_with_what_was_collected(command: Command) -> None:
    assert command(*COLLECT) == 0, command.err
    assert Path("cache/collected").is_dir()
    assert command("verify", "model") == 0, command.err
    assert command.out.count("right: ") == 4
    model = load_model("model")
    settings = {"layers": [0, 2], "ridge": 1.0, "value": {"steps": 2}, "contexts": {"count": 0}}
    session = EditSession(model, load_editor("memit", settings))
    report = session.apply([Fact(Prompt("", "Mira Solano", " lives in"), "Spain", "Italy")])
    assert report is not None


def test_a_named_folder_is_found_by_editors_too(command: Command) -> None:
    model = load_model("model")
    other = command.json(*COLLECT, "--out", "moments", "--shard", "1/2")
    assert "offered" not in other
    with pytest.raises(StatisticsError, match="collect them once"):
        second_moments(model, [0])
    found = command.json(*COLLECT, "--out", "moments", "--shard", "2/2")
    assert Path(found["offered"]).is_relative_to(home_of(model.origin, Path("cache").resolve()))
    moments = second_moments(model, [0, 2, 3])
    for layer, moment in moments.items():
        assert torch.equal(moment.matrix, load_file(f"moments/layer-{layer}.safetensors")["matrix"])
    for path in Path(found["offered"]).iterdir():
        path.unlink()
    assert command("merge", "moments") == 0 and f"editors find them in {found['offered']}" in command.out
    assert second_moments(model, [0])[0].tokens == 3000
    Path("elsewhere").mkdir()
    Path("elsewhere/texts.txt").write_text("\n".join(reversed(TEXTS)), encoding="utf-8")
    words = [word.replace("texts.txt", "elsewhere/texts.txt") for word in COLLECT]
    places = {command.json(*one, "--out", f"out {i}")["offered"] for i, one in enumerate((COLLECT, words, COLLECT))}
    assert len(places) == 2, "other texts of the same name have a folder of their own"
    assert command(*words, "--out", "moments", "--shard", "1/2") == 2
    assert "the texts of texts.txt are others than when the shard was begun" in command.err


def test_copies_where_there_are_no_links(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def across(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", across)
    found = command.json(*COLLECT, "--out", "moments")
    assert second_moments(load_model("model"), [0])[0].tokens == 3000
    monkeypatch.setattr("shutil.copyfile", across)
    assert command("merge", "moments") == 2 and "cannot be put where editors look" in command.err
    assert Path(found["offered"], "layer-0.safetensors").is_file()


def test_verify_takes_the_dtype_of_the_collection(command: Command) -> None:
    assert command("verify", "model", "--dtype", "bfloat16") == 2
    assert "collect model --corpus wikitext --dtype bfloat16" in command.err
    assert command(*COLLECT, "--out", "moments", "--dtype", "bfloat16") == 0, command.err
    for asked in ("moments", "model"):
        assert command("verify", asked) == 0, command.out + command.err
    assert command("verify", "moments", "--dtype", "float32") == 1
    assert command.out.count("load the model in the dtype it was collected in, bfloat16, or delete the file") == 3


def test_verify_computes_on_the_device_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model("gpt2")
    collected(tmp_path, model=model)
    matrices(tmp_path)
    places = []

    def noted(matrix: torch.Tensor) -> Any:
        places.append(place(matrix))
        return spectrum(matrix)

    monkeypatch.setattr("kedit.statistics.verifying.spectrum", noted)
    for layer in range(model.n_blocks):
        put(model.weight(layer), ONE)
    with fake_devices():
        found = verify(tmp_path, model, None)
    assert places == [ONE, ONE] and not any(one.problem for one in found)


def test_verify_says_what_is_wrong_with_each_file(command: Command) -> None:
    assert command(*COLLECT, "--out", "moments", "--device", "cpu", "--dtype", "float32") == 0, command.err
    found = command.json("verify", "moments", "--model", "model", "--corpus", "texts.txt")
    assert [one["problem"] for one in found["files"]] == [""] * 4
    assert all(0.5 < one["size"] < 2 for one in found["files"] if one["spectrum"])
    whole = Path("moments/layer-0.safetensors").read_bytes()

    def wrong(text: str) -> None:
        assert command("verify", "moments") == 1
        (line,) = [line for line in command.out.splitlines() if line.startswith("wrong: ")]
        assert text in line and "1 of 4 files not as it should be" in command.err
        Path("moments/layer-0.safetensors").write_bytes(whole)

    Path("moments/layer-0.safetensors").write_bytes(whole[:1000])
    wrong("layer-0.safetensors is damaged")
    damage(Path("moments/layer-0.safetensors"), "matrix", lambda matrix: matrix * 1.0001)
    wrong("its numbers are not those that were written")
    damage(Path("moments/layer-0.safetensors"), "matrix", lambda matrix: matrix + torch.ones(24, 24).triu(1))
    wrong("no second moment of keys of size 24 (finite, symmetric")
    damage(Path("moments/layer-0.safetensors"), "matrix", lambda matrix: matrix, tokens="20")
    wrong("has 20 tokens for keys of size 24: its rank is deficient")
    damage(Path("moments/layer-0.safetensors"), "matrix", lambda matrix: matrix, model="0" * 64)
    wrong("was measured on another model")
    Path("moments/layer-0.safetensors").write_bytes(Path("moments/layer-2.safetensors").read_bytes())
    wrong("was measured on another layer (2)")
    unsigned("moments/layer-0.safetensors", lambda matrix: matrix * 3000)
    wrong("is not that of this model's keys: over a fresh sample k^T C^-1 k is 0.000")
    unsigned("moments/layer-0.safetensors", negative)
    wrong("is not positive semi-definite")
    damage(Path("moments/shard-1-of-1.safetensors"), "2.0", lambda strip: -strip)
    wrong("shard-1-of-1.safetensors is damaged")


def unsigned(path: str, change: Any) -> None:
    """Damage that was there before the checksum was made."""
    matrix = change(load_file(path)["matrix"]).contiguous()
    save_file({"matrix": matrix}, path, metadata=metadata_of(Path(path)) | {"sha256": sha256_of([matrix])})


def negative(matrix: torch.Tensor) -> torch.Tensor:
    """A direction with a negative eigenvalue; the diagonal stays positive."""
    values, vectors = torch.linalg.eigh(matrix)
    values[0] = -1e-4 * values[-1]
    return vectors @ torch.diag(values) @ vectors.T


def test_an_interrupted_run_goes_on_and_is_seen_until_then(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def interrupted(*given: Any) -> int:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise KeyboardInterrupt
        return add_keys(*given)

    with monkeypatch.context() as during:
        during.setattr("kedit.statistics.gram.add_keys", interrupted)
        assert command(*COLLECT, "--out", "moments") == 1
    assert "interrupted; what is measured is in moments, the same command goes on from there" in command.err
    assert command(*COLLECT, "--out", "moments") == 0, command.err


def test_wrong_input_is_one_sentence(command: Command) -> None:
    for words, text in (
        ((*COLLECT, "--shard", "3/2"), "--shard '3/2' is none; write I/N"),
        (("collect", "model", "--corpus", "texts.txt", "--layers", "x"), "--layers 'x' is no layer"),
        (("collect", "model", "--corpus", "texts.txt", "--layers", "5-3"), "--layers '5-3' is no layer; write numbers"),
        (("collect", "model", "--corpus", "texts.txt", "--layers", "9"), "layers [9] are not all in 0..3"),
        (("collect", "model", "--corpus", "texts.txt"), "such as --layers 3-8 (kedit probe recommends some)"),
        (("collect", "nothing", "--corpus", "texts.txt"), "nothing: neither one of"),
        (("collect", "model", "--corpus", "nothing", "--layers", "0"), "nothing is neither wikitext"),
        (("verify", "model"), "nothing was collected for model"),
    ):
        assert command(*words) == 2, words
        assert text in command.err and command.err.count("\n") == 1
