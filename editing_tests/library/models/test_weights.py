# SPDX-License-Identifier: Apache-2.0
"""Weights are looked for where they are, and what is missing is named with the command that fetches it."""

from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub.constants
import pytest

from kedit.models import FULL_MODELS, ModelError
from kedit.models.weights import MissingWeights, find_weights

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no way out of the machine."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("socket.socket.connect", refuse)
    return tmp_path


def cached(hub: Path, hub_id: str, files: dict[str, str]) -> Path:
    """A snapshot as the hub's client lays it out: links to blobs."""
    home = hub / f"models--{hub_id.replace('/', '--')}"
    snapshot = home / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(COMMIT, encoding="ascii")
    (home / "blobs").mkdir()
    for number, (name, text) in enumerate(files.items()):
        (home / "blobs" / str(number)).write_text(text, encoding="utf-8")
        (snapshot / name).symlink_to(home / "blobs" / str(number))
    return snapshot


def sharded(*shards: str) -> str:
    return json.dumps({"weight_map": {f"weight {i}": shard for i, shard in enumerate(shards)}})


@pytest.mark.parametrize("source", ["gpt-j-6b", "EleutherAI/gpt-j-6b"])
def test_names_and_hub_ids_lead_to_the_cached_snapshot(hub: Path, source: str) -> None:
    snapshot = cached(hub, "EleutherAI/gpt-j-6b", {"config.json": "{}", "pytorch_model.bin": "w"})
    assert find_weights(source) == snapshot


def test_all_shards_of_an_index_must_be_there(hub: Path) -> None:
    files = {"config.json": "{}", "model.safetensors.index.json": sharded("a", "b", "b"), "a": "", "b": ""}
    snapshot = cached(hub, "Qwen/Qwen2.5-7B-Instruct", files)
    assert find_weights("qwen2.5-7b-instruct") == snapshot
    (snapshot / "b").resolve().unlink()
    with pytest.raises(MissingWeights, match=r"1 of 2 shards are missing, b first; .*hf download Qwen/Qwen2.5-7B-Ins"):
        find_weights("qwen2.5-7b-instruct")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"config.json": "{}"}, "neither model.safetensors nor pytorch_model.bin"),
        ({"model.safetensors": ""}, "config.json is missing"),
        ({"config.json": "{}", "model.safetensors.index.json": "[1]"}, "model.safetensors.index.json is damaged"),
    ],
)
def test_a_snapshot_that_is_not_whole(hub: Path, files: dict[str, str], said: str) -> None:
    cached(hub, "openai-community/gpt2-xl", files)
    with pytest.raises(MissingWeights, match=rf"{said}.*fetch them with: hf download openai-community/gpt2-xl"):
        find_weights("gpt2-xl")


@pytest.mark.parametrize("name", FULL_MODELS)
def test_an_empty_cache_names_the_command(hub: Path, name: str) -> None:
    with pytest.raises(ModelError, match=f"not in the Hugging Face cache; .*hf download {FULL_MODELS[name].hub_id}$"):
        find_weights(name)


def test_folders_and_what_is_nothing(hub: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(MissingWeights, match="is no whole model: there is neither"):
        find_weights(str(folder))
    (folder / "model.safetensors").write_text("w", encoding="utf-8")
    assert find_weights(str(folder)) == folder
    for nothing in ("gpt-5", "/no/such", "a/b/c"):
        with pytest.raises(MissingWeights, match="no folder, no full model of kedit"):
            find_weights(nothing)
