# SPDX-License-Identifier: Apache-2.0
"""Memory is told before anything is loaded, close to what is used, and a refusal says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from kedit.editors import load_editor
from kedit.facts import Fact, Prompt
from kedit.gate import tensor_elements
from kedit.models import FULL_MODELS, ModelError, configuration, memory
from kedit.models.memory import OutOfMemory, check_memory, memory_at_hand, memory_needed
from kedit.models.random_weights import random_model, reduced


def test_the_parts_of_gpt_j_in_bfloat16() -> None:
    need = memory_needed(configuration("gpt-j-6b"), torch.bfloat16, layers=6)
    assert need.weights == pytest.approx(12.1e9, rel=0.01)
    matrix = 4096 * 16384
    # Trial weights stay in float32 beside the ones swapped in.
    assert need.edited == matrix * (6 * (2 + 4) + 4 + 8 + 8)
    assert need.moments == 6 * 2 * 16384**2 * 8
    # Six sums of half a matrix each, while second moments are measured, and one put together.
    assert need.solving == (6 * 9 + 16) * 16384**2 * 8 // 16
    assert need.total == need.weights + need.edited + need.moments + need.activations + need.solving
    assert memory_needed(configuration("gpt-j-6b"), torch.bfloat16, layers=1).solving == 3 * 16384**2 * 8
    plain = memory_needed(configuration("gpt-j-6b"), torch.bfloat16, layers=6, statistics=False)
    assert (plain.moments, plain.solving, plain.history) == (0, 0, 0)
    loaded = memory_needed(configuration("gpt-j-6b"), torch.bfloat16, layers=0, tokens=0)
    assert loaded.total == loaded.weights == need.weights


def test_sums_over_earlier_edits_are_on_the_device_and_half_of_them_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    need = memory_needed(configuration("gpt-j-6b"), torch.bfloat16, layers=6, history=True)
    assert need.history == 9 * (16384**2 + 4096 * 16384 + (16384 + 4096) * 64) * 8
    assert 22.5 * 2**30 < need.history < 22.6 * 2**30
    assert need.total == memory_needed(configuration("gpt-j-6b"), torch.bfloat16, layers=6).total + need.history
    monkeypatch.setattr(memory, "memory_at_hand", lambda device: 2**50 if str(device) == "cpu" else 2**30)
    with pytest.raises(OutOfMemory, match=r"GiB on cuda \(weights .*, solving 8.75, sums over edits 22.59\)"):
        check_memory(need, "cuda", name="gpt-j")


def test_a_history_as_said_is_what_d4s_holds() -> None:
    model = random_model(reduced(configuration("gpt-j-6b"), blocks=3), corpus_tokens=600)
    fact = Fact(Prompt.from_template("{} lives in", "Ada"), "Madrid", "Rome")
    setting = {"layers": [0, 1], "value": {"steps": 1, "lr": 0.5, "kl": 0.0625}, "ridge": 0.5}
    _, state = load_editor("d4s", setting).edit(model, [fact])
    held = 8 * tensor_elements(state.history)
    assert memory_needed(model.module.config, torch.float32, layers=2, history=True).history == 3 * held / 2


@pytest.mark.parametrize("name", FULL_MODELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_are_those_of_the_model_made(name: str, dtype: torch.dtype) -> None:
    config = reduced(configuration(name))
    module = random_model(config, dtype=dtype).module
    made = sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))
    assert memory_needed(config, dtype, layers=1).weights == pytest.approx(made, rel=0.01)


@pytest.mark.parametrize("name", FULL_MODELS)
def test_a_backward_pass_keeps_no_more_than_is_said_and_not_much_less(name: str) -> None:
    config = reduced(configuration(name), blocks=4)
    model = random_model(config)
    rows, length = 16, 32
    ids = torch.randint(0, 900, (rows, length), generator=torch.Generator().manual_seed(0))
    kept: dict[int, Tensor] = {}
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.module.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = tensor
        return tensor

    with model.frozen(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        start = model.module.get_input_embeddings()(ids).requires_grad_(True)
        hidden = model.module.base_model(inputs_embeds=start, use_cache=False).last_hidden_state
        torch.log_softmax(model.head(hidden[:, :: int(1 / memory.READ)]).float(), -1).sum()
    used = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    said = memory_needed(config, torch.float32, layers=1, tokens=rows * length).activations
    assert said / 3 < used < said


def test_what_is_at_hand_on_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "meminfo"
    told.write_text("MemTotal: 9000 kB\nMemAvailable:    4000 kB\n", encoding="ascii")
    bound, used = tmp_path / "max", tmp_path / "current"
    bound.write_text("max\n", encoding="ascii")
    used.write_text("1000\n", encoding="ascii")
    monkeypatch.setattr(memory, "MEMINFO", told)
    monkeypatch.setattr(memory, "CGROUP", (bound, used))
    assert memory_at_hand("cpu") == 4000 * 1024
    bound.write_text("50000\n", encoding="ascii")
    parts = tmp_path / "stat"
    monkeypatch.setattr(memory, "CGROUP_PARTS", parts)
    assert memory_at_hand("cpu") == 49000
    parts.write_text("anon 300\ninactive_file 600\n", encoding="ascii")
    assert memory_at_hand("cpu") == 49600
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "none")
    monkeypatch.setattr(memory, "CGROUP", (tmp_path / "none", used))
    assert memory_at_hand("cpu") > 0


def test_a_refusal_names_the_split_and_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    need = memory_needed(configuration("llama-3-8b-instruct"), torch.float32, layers=5)
    room = {"cpu": 100 * 2**30, "cuda:1": 80 * 2**30}
    monkeypatch.setattr(memory, "memory_at_hand", lambda device: room[str(device)])
    check_memory(need, "cpu", name="llama")
    check_memory(need, "cuda:1", name="llama")
    room["cuda:1"] = 10 * 2**30
    said = (
        r"llama needs \d+\.\d\d GiB on cuda:1 \(weights 29.9\d, edited matrices \d.*, activations \d.*\) and 10.00 GiB "
        "are at hand; load it in bfloat16, on another device, or edit fewer layers"
    )
    with pytest.raises(OutOfMemory, match=said):
        check_memory(need, "cuda:1", name="llama")
    room["cpu"], room["cuda:1"] = 10 * 2**30, 80 * 2**30
    with pytest.raises(OutOfMemory, match=r"15.31 GiB on cpu \(second moments 15.31\) and 10.00 GiB"):
        check_memory(need, "cuda:1", name="llama")
    with pytest.raises(OutOfMemory, match=r"on cpu \(weights .*, second moments 15.31\)"):
        check_memory(need, torch.device("cpu"), name="llama")


@pytest.mark.parametrize("device", ["auto", "cuda:17"])
def test_a_device_that_is_not_here(device: str) -> None:
    if device == "auto" and torch.cuda.is_available():
        pytest.skip("there are CUDA devices")
    with pytest.raises(ModelError, match=f"there is no device '{device}'"):
        memory_at_hand(device)
