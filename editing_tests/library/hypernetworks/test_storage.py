# SPDX-License-Identifier: Apache-2.0
"""Files of trained networks: found by the model's fingerprint, refused by name, whole or damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from editing_tests.library.random_models import random_model
from editing_tests.library.random_networks import random_network, some_facts, weights_file
from kedit.hypernetworks import HypernetworkError, read_factors
from kedit.hypernetworks.storage import find, load, read_card, save


def test_a_network_comes_back_from_its_file(tmp_path: Path) -> None:
    model = random_model("llama")
    network, path = random_network(model), weights_file(model, tmp_path)
    loaded = load(path, model)
    assert list(loaded.matrices.items()) == list(network.matrices.items())
    expected, got = network.state_dict(), loaded.state_dict()
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert read_card(path) == {"model": "random llama"}


def test_a_file_written_in_another_order_is_the_same_network(tmp_path: Path) -> None:
    model = random_model("gpt2")
    network = random_network(model)
    backwards = random_network(model, reverse=True)
    backwards.load_state_dict(network.state_dict())
    save(tmp_path / "a.safetensors", backwards, origin=model.origin, card={})
    loaded = load(tmp_path / "a.safetensors", model)
    with model.frozen():
        found = read_factors(model, some_facts(2), network.matrices)
    for name in network.matrices:
        assert all(
            torch.equal(a, b) for a, b in zip(network(name, found[name]), loaded(name, found[name]), strict=True)
        )


def test_the_file_of_a_model_is_found_by_fingerprint(tmp_path: Path) -> None:
    one, other, third = (random_model("gpt2", seed=seed) for seed in (0, 1, 2))
    for number, model in enumerate((one, other)):
        (tmp_path / str(number)).mkdir()
        weights_file(model, tmp_path / str(number)).rename(tmp_path / f"{1 - number}.safetensors")
    other.name = one.name = "renamed"
    assert find(tmp_path, one.origin) == tmp_path / "1.safetensors"
    assert find(tmp_path, other.origin) == tmp_path / "0.safetensors"
    assert find(tmp_path, third.origin) is None
    assert find(tmp_path / "nowhere", one.origin) is None


def test_the_file_of_another_model_is_refused_by_name(tmp_path: Path) -> None:
    path = weights_file(random_model("gpt2"), tmp_path)
    other = random_model("gpt2", seed=1)
    with pytest.raises(
        HypernetworkError, match=r"weights.safetensors was trained for random gpt2 with the fingerprint"
    ):
        load(path, other)


def test_damaged_and_foreign_files_are_refused_by_name(tmp_path: Path) -> None:
    model = random_model("gpt2")
    path = weights_file(model, tmp_path)
    whole = path.read_bytes()
    for broken in (whole[: len(whole) // 2], b""):
        path.write_bytes(broken)
        with pytest.raises(HypernetworkError, match=r"weights.safetensors cannot be read"):
            load(path, model)
    with pytest.raises(HypernetworkError, match=r"missing.safetensors cannot be read"):
        load(tmp_path / "missing.safetensors", model)
    model.module.save_pretrained(tmp_path)
    with pytest.raises(HypernetworkError, match="holds no weights of MEND"):
        load(tmp_path / "model.safetensors", model)
