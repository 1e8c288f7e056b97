# SPDX-License-Identifier: Apache-2.0
"""Weights that an edit could not reach are refused by name, with what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module
from torch import nn

from editing_tests.library.random_models import random_model
from kedit.models import LanguageModel, ModelError
from kedit.paths import fixtures_dir

TINY = fixtures_dir() / "models" / "tiny-gpt2"


def wrapped(model: LanguageModel) -> LanguageModel:
    return LanguageModel(model.module, model.tokenizer, name="mine", origin="")


def test_auto_places_a_model_on_what_there_is() -> None:
    model, plain = LanguageModel.from_pretrained(TINY, device="auto"), LanguageModel.from_pretrained(TINY)
    assert model.origin == plain.origin
    assert model.device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert wrapped(model).d == plain.d


def test_auto_needs_accelerate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kedit.models.placement.find_spec", lambda _name: None)
    with pytest.raises(ModelError, match=r"needs the library accelerate; install kedit\[sharded\], or name one device"):
        LanguageModel.from_pretrained(TINY, device="auto")
    assert LanguageModel.from_pretrained(TINY, device="cpu").n_blocks == 5


def test_a_weight_without_memory_is_refused() -> None:
    model = random_model("llama")
    model.blocks[3].mlp.to("meta")
    with pytest.raises(ModelError, match=r"mine: model.layers.3.mlp.gate_proj.weight is offloaded .* in bfloat16, on"):
        wrapped(model)


@pytest.mark.parametrize("slow", ["cpu", "disk"])
def test_a_part_beside_the_accelerator_is_refused(slow: str) -> None:
    model = random_model("gpt2")
    model.module.hf_device_map = {"transformer.h.0": 0, "transformer.h.1": slow}
    with pytest.raises(ModelError, match=r"mine: transformer.h.1 is offloaded to the host or the disk"):
        wrapped(model)
    model.module.hf_device_map = {"transformer.h.0": 0, "transformer.h.1": 1}
    wrapped(model)
    model.module.hf_device_map = {"": "cpu"}
    wrapped(model)


def test_a_hook_that_offloads_is_refused() -> None:
    model = random_model("gpt2")
    add_hook_to_module(model.blocks[1], AlignDevicesHook(execution_device="cpu"))
    wrapped(model)
    model.blocks[1]._hf_hook.offload = True
    with pytest.raises(ModelError, match=r"mine: transformer.h.1 is offloaded"):
        wrapped(model)


def test_a_quantised_checkpoint_is_refused_before_it_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(TINY, folder)
    told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    told["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (folder / "config.json").write_text(json.dumps(told), encoding="utf-8")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"is quantised \(gptq\) .*; load the published weights in float32"):
        LanguageModel.from_pretrained(folder)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn])
def test_quantised_weights_in_memory_are_refused(dtype: torch.dtype) -> None:
    model = random_model("llama")
    model.module.config.quantization_config = {"quant_method": "bitsandbytes"}
    with pytest.raises(ModelError, match=r"mine is quantised \(bitsandbytes\)"):
        wrapped(model)
    del model.module.config.quantization_config
    up = model.blocks[2].mlp.up_proj
    up.weight = nn.Parameter(up.weight.detach().to(dtype), requires_grad=False)
    with pytest.raises(ModelError, match=r"layers.2.mlp.up_proj.weight is quantised \(torch\."):
        wrapped(model)


@pytest.fixture
def without_weights(tmp_path: Path) -> Path:
    """A folder that cannot be read: what is refused there was refused before."""
    folder = tmp_path / "bare"
    shutil.copytree(TINY, folder)
    (folder / "model.safetensors").unlink()
    return folder


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("cuda:1", "no CUDA device is here; run it where one is, or give --device cpu"),
        ("nonsense", r"device nonsense cannot be used \(.*nonsense.*\); give --device cpu, or cuda"),
    ],
)
def test_a_device_that_is_not_here_is_refused_before_reading(
    without_weights: Path, monkeypatch: pytest.MonkeyPatch, device: str, said: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match=said):
        LanguageModel.from_pretrained(without_weights, device=device)


def test_a_device_without_float64_is_refused(without_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, dtype: torch.dtype | None = None, **_kwargs: object) -> None:
        if dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

    monkeypatch.setattr(torch, "empty", refuse)
    with pytest.raises(ModelError, match=r"device mps cannot be used \(Cannot convert a MPS Tensor to float64 dtype\)"):
        LanguageModel.from_pretrained(without_weights, device="mps")


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("too small"), ValueError("weights offloaded to the disk")])
def test_a_failed_placement_is_no_damaged_file(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise error

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", fail)
    with pytest.raises(ModelError, match=r"cannot be spread over the devices .*; load it in bfloat16, on more devices"):
        LanguageModel.from_pretrained(TINY, device="auto")


def test_a_damaged_file_is_one_on_auto_too(without_weights: Path) -> None:
    (without_weights / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="missing or damaged, copy the folder again"):
        LanguageModel.from_pretrained(without_weights, device="auto")
