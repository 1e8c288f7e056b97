# SPDX-License-Identifier: Apache-2.0
"""Digests and injected failures, on plain data and a two-layer module."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from kedit.gate import inspection
from kedit.gate.inspection import Interruption, digest, digests, interrupted, tensor_elements


@dataclass(frozen=True, slots=True)
class Pair:
    left: torch.Tensor
    right: object


def test_equal_data_have_equal_digests():
    one = {"a": [Pair(torch.arange(3.0), None), (1, "x")], "b": {2, 1}}
    assert digest(one) == digest(copy.deepcopy(one))


@pytest.mark.parametrize(
    "other",
    [
        Pair(torch.tensor([0.0, 1.0, 2.0000002]), 1),
        Pair(torch.tensor([-0.0, 1.0, 2.0]), 1),  # equal as numbers, not as bits
        Pair(torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64), 1),
        Pair(torch.tensor([[0.0, 1.0, 2.0]]), 1),
        Pair(torch.tensor([0.0, 1.0, 2.0]), 1.0),
        Pair(torch.tensor([0.0, 1.0, 2.0]), [1]),
    ],
)
def test_a_change_anywhere_changes_the_digest(other):
    assert digest(Pair(torch.tensor([0.0, 1.0, 2.0]), 1)) != digest(other)


@pytest.mark.parametrize("large", [False, True])
def test_large_tensors_have_a_checksum_each(large, monkeypatch):
    tensors = {"a": torch.arange(12.0).view(3, 4), "b": torch.tensor(True), "c": torch.zeros(0), "d": torch.ones(3)}
    if large:
        monkeypatch.setattr(inspection, "REMEMBER_FROM", 48)
    before, whole = digests(tensors), digest(tensors)
    assert (before["a"] == digest(tensors["a"])) and len(set(before.values())) == 4
    assert digests({name: tensor.clone() for name, tensor in tensors.items()}) == before
    for name, tensor in tensors.items():
        if tensor.numel():
            changed = tensors | {name: tensor.clone()}
            changed[name].view(-1)[-1] = 0
            assert [key for key, value in digests(changed).items() if value != before[key]] == [name]
            assert digest(changed) != whole
    assert digests(tensors | {"a": tensors["a"].T})["a"] != before["a"]


def test_small_tensors_have_no_checksum(monkeypatch):
    monkeypatch.setattr(inspection, "checksum", None)
    assert len(digest({"a": torch.ones(3)})) == 64
    monkeypatch.setattr(inspection, "REMEMBER_FROM", 12)
    with pytest.raises(TypeError):
        digests({"a": torch.ones(3)})


def test_cycles_end():
    value = SimpleNamespace(name="a")
    value.self = value
    assert digest(value) == digest(value)


def test_the_size_of_a_state_is_the_number_of_its_numbers():
    assert tensor_elements({"sums": [torch.zeros(2, 3), torch.zeros(4)], "count": 7}) == 10


def test_failures_are_injected_at_the_asked_call_and_hooks_are_gone_after():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model = SimpleNamespace(module=module)
    with interrupted(model) as counter:
        module(torch.zeros(1, 2))
    assert counter.calls == 3
    with interrupted(model, 2) as counter, pytest.raises(Interruption):
        module(torch.zeros(1, 2))
    assert counter.calls == 3
    assert not any(m._forward_pre_hooks for m in module.modules())


def test_copies_of_the_model_are_counted_too():
    model = SimpleNamespace(module=nn.Sequential(nn.Linear(2, 2)))
    with interrupted(model) as counter:
        copy.deepcopy(model.module)(torch.zeros(1, 2))
    assert counter.calls == 2
