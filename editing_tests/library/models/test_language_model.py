# SPDX-License-Identifier: Apache-2.0
"""Loading, orientation, fingerprints, and that nothing is left changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from editing_tests.library.random_models import FAMILIES, KEYS, WIDTH, random_model
from kedit.models import LanguageModel, ModelError
from kedit.paths import fixtures_dir


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("keys", [KEYS, WIDTH])
def test_weights_act_as_the_module_does_also_when_square(family: str, keys: int) -> None:
    model = random_model(family, keys=keys)
    module = model.down_projection(1)
    key = torch.randn(keys, generator=torch.Generator().manual_seed(0))
    bias = getattr(module, "bias", None)
    with torch.no_grad():
        expected = module(key[None])[0] - (0 if bias is None else bias)
    assert model.weight(1).shape == (WIDTH, keys)
    torch.testing.assert_close(model.weight(1) @ key, expected)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_swapped_weights_are_seen_and_come_back_bit_for_bit(family: str) -> None:
    model = random_model(family)
    name, before = model.weight_name(1), model.fingerprint()
    other = torch.randn(model.d, model.f, generator=torch.Generator().manual_seed(1))
    with pytest.raises(RuntimeError, match="on purpose"), model.swapped({name: other}):
        assert torch.equal(model.weight(1), other)
        raise RuntimeError("on purpose")
    assert model.fingerprint() == before


def test_frozen_restores_modes_and_flags_after_an_error() -> None:
    model = random_model("gpt2")
    model.module.train()
    model.blocks[0].eval()
    flags = [True, False] * len(list(model.module.parameters()))
    for parameter, flag in zip(model.module.parameters(), flags, strict=False):
        parameter.requires_grad_(flag)
    modes = [m.training for m in model.module.modules()]
    asked = [p.requires_grad for p in model.module.parameters()]
    with pytest.raises(RuntimeError, match="on purpose"), model.frozen():
        assert not any(m.training for m in model.module.modules())
        assert not any(p.requires_grad for p in model.module.parameters())
        raise RuntimeError("on purpose")
    assert [m.training for m in model.module.modules()] == modes
    assert [p.requires_grad for p in model.module.parameters()] == asked


def test_a_copy_is_independent_and_keeps_its_origin() -> None:
    model = random_model("gpt2")
    twin = model.copy()
    with torch.no_grad():
        next(iter(twin.module.parameters())).add_(1.0)
    assert twin.origin == model.origin == model.fingerprint() != twin.fingerprint()


def test_what_is_derived_is_remembered_for_the_same_weights_only() -> None:
    model = random_model("gpt2")
    calls: list[str] = []

    def ask(which: LanguageModel, key: str = "a") -> int:
        return which.derived(key, lambda: calls.append(key) or len(calls))

    assert [ask(model), ask(model.copy()), ask(model)] == [1, 1, 1]
    other = model.copy()
    with torch.no_grad():
        other.module.get_parameter(other.weight_name(1)).add_(1e-3)
    assert [ask(other), ask(other, "b")] == [2, 3]
    assert ask(model) == 4


def test_layer_two_is_not_layer_twenty_one() -> None:
    model = random_model("gpt2")
    assert model.weight_name(2) == "transformer.h.2.mlp.c_proj.weight"
    with pytest.raises(ModelError, match=r"\[21\] are not all in 0..3"):
        model.check_layers([21])
    with pytest.raises(ModelError, match="repeat"):
        model.check_layers([1, 1])
    assert model.check_layers([3, 0, 2]) == (0, 2, 3)


def test_a_folder_name_decides_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "llama-2-7b-gpt-qwen"
    shutil.copytree(fixtures_dir() / "models" / "tiny-gpt2", folder)
    renamed = LanguageModel.from_pretrained(folder)
    plain = LanguageModel.from_pretrained(fixtures_dir() / "models" / "tiny-gpt2")
    assert renamed.origin == plain.origin
    assert renamed.architecture.family == "gpt2"


def test_missing_folder_and_unknown_family_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no config.json"):
        LanguageModel.from_pretrained(tmp_path)
    model = random_model("gpt2")
    model.module.config.model_type = "mamba"
    with pytest.raises(ModelError, match=r"family 'mamba' has no row .* add one"):
        LanguageModel(model.module, model.tokenizer)


def test_damaged_weights_and_configuration_are_named(tmp_path: Path) -> None:
    for file, keep in (("model.safetensors", 1000), ("config.json", 40), ("tokenizer.json", 100)):
        folder = tmp_path / file.partition(".")[0]
        shutil.copytree(fixtures_dir() / "models" / "tiny-gpt2", folder)
        damaged = folder / file
        damaged.write_bytes(damaged.read_bytes()[:keep])
        with pytest.raises(ModelError, match="missing or damaged, copy the folder again"):
            LanguageModel.from_pretrained(folder)


def test_a_quantised_weight_is_refused() -> None:
    model = random_model("llama")
    down = model.down_projection(1)
    down.weight = nn.Parameter(down.weight.detach().to(torch.int8), requires_grad=False)
    with pytest.raises(ModelError, match=r"layers.1.mlp.down_proj.weight is quantised"):
        LanguageModel(model.module, model.tokenizer)


def test_a_tokenizer_without_offsets_is_refused() -> None:
    model = random_model("gpt2")

    class Slow:
        is_fast = False

    with pytest.raises(ModelError, match="no character offsets"):
        LanguageModel(model.module, Slow())  # type: ignore[arg-type]
