# SPDX-License-Identifier: Apache-2.0
"""A model without a corpus edits with what was collected for it, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from editing_tests.library.random_models import random_model
from editing_tests.library.statistics.shard_examples import collected, damage, matrices
from kedit.models import LanguageModel
from kedit.statistics import StatisticsError, second_moments
from kedit.statistics.store import home_of, layer_file


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two collections for one model."""
    home = home_of(random_model("gpt2").origin, tmp_path)
    for name, tokens in (("a-few", 600), ("b-many", 2000), ("c-some", 900)):
        collected(home / name, tokens=tokens)
        matrices(home / name)
    return tmp_path


def test_the_one_of_most_tokens_is_taken(store: Path) -> None:
    model = random_model("gpt2")
    found = second_moments(model, [0, 2], cache=store)
    many = matrices(home_of(model.origin, store) / "b-many")
    for layer in (0, 2):
        assert found[layer].tokens == 2000 and found[layer].layer == layer
        assert torch.equal(found[layer].matrix, many[layer])


def test_a_folder_can_be_named(store: Path) -> None:
    model = random_model("gpt2")
    model.corpus = ("a text of its own",)
    folder = home_of(model.origin, store) / "a-few"
    assert second_moments(model, [2], collected=folder)[2].tokens == 600


def test_what_is_missing_says_which_command_collects_it(store: Path) -> None:
    model = random_model("gpt2")
    with pytest.raises(StatisticsError, match=r"of layers 1 no .* has layers 0, 2\); .* collect .* --layers 0 1$"):
        second_moments(model, [0, 1], cache=store)
    with pytest.raises(StatisticsError, match=r"has no corpus .* has none\).* kedit statistics collect MODEL --corpus"):
        second_moments(random_model("gpt2", seed=1), [0], cache=store)


def test_second_moments_of_another_model_are_refused(store: Path) -> None:
    folder = home_of(random_model("gpt2").origin, store) / "a-few"
    with pytest.raises(StatisticsError, match=r"layer-0.safetensors was measured on another model .* are refused"):
        second_moments(random_model("gpt2", seed=1), [0], collected=folder)


def test_those_of_another_layer_are_refused(store: Path) -> None:
    folder = home_of(random_model("gpt2").origin, store) / "a-few"
    layer_file(folder, 0).rename(layer_file(folder, 1))
    with pytest.raises(StatisticsError, match=r"layer-1.safetensors was measured on another layer \(0\)"):
        second_moments(random_model("gpt2"), [1], collected=folder)


def test_damaged_ones_are_refused(store: Path) -> None:
    folder = home_of(random_model("gpt2").origin, store) / "b-many"
    damage(layer_file(folder, 0), "matrix", lambda matrix: -matrix)
    with pytest.raises(StatisticsError, match=r"layer-0.safetensors holds no second moment"):
        second_moments(random_model("gpt2"), [0], cache=store)
    layer_file(folder, 0).write_bytes(layer_file(folder, 0).read_bytes()[:100])
    assert second_moments(random_model("gpt2"), [0], cache=store)[0].tokens == 900, "another collection has it"
    for name in ("a-few", "c-some"):
        layer_file(folder.with_name(name), 0).unlink()
    with pytest.raises(StatisticsError, match=r"layer-0.safetensors is damaged"):
        second_moments(random_model("gpt2"), [0], cache=store)
    assert second_moments(random_model("gpt2"), [2], cache=store)[2].tokens == 2000


def test_the_same_model_in_another_dtype_is_told_which(tmp_path: Path) -> None:
    full = random_model("gpt2")
    half = LanguageModel(full.copy().module.to(torch.bfloat16), full.tokenizer)
    collected(tmp_path / "half", model=half)
    matrices(tmp_path / "half")
    with pytest.raises(StatisticsError, match=r"load the model in the dtype it was collected in, bfloat16, or delete"):
        second_moments(full, [0], collected=tmp_path / "half")
    other = random_model("gpt2", seed=1)
    with pytest.raises(StatisticsError, match=r"are refused, load the model in the dtype"):
        second_moments(other, [0], collected=tmp_path / "half")
    other = LanguageModel(other.module.to(torch.bfloat16), other.tokenizer)
    with pytest.raises(StatisticsError, match=r"are refused, delete the file"):
        second_moments(other, [0], collected=tmp_path / "half")
    with pytest.raises(StatisticsError, match=r"--layers 0 --dtype bfloat16$"):
        second_moments(half, [0], cache=tmp_path)
