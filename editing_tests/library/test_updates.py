# SPDX-License-Identifier: Apache-2.0
"""Updates as values: applied once, on their base only, taken back bit for bit, never half."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from editing_tests.library.push import Push
from editing_tests.library.random_models import random_model
from kedit.models import LanguageModel
from kedit.updates import LowRank, Rebuilt, Replaced, Update, UpdateError


def low_rank(model: LanguageModel, layers: tuple[int, ...] = (0, 2), scale: float = 1.0) -> Update:
    generator = torch.Generator().manual_seed(1)
    changes = {
        model.weight_name(layer): LowRank(
            scale * torch.randn(model.d, 2, generator=generator), torch.randn(model.f, 2, generator=generator)
        )
        for layer in layers
    }
    return Update(changes, model.fingerprint(changes))


@pytest.mark.parametrize("family", ["gpt2", "gptj", "qwen2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_undo_is_exact_at_any_depth(family: str, dtype: torch.dtype) -> None:
    model = random_model(family, dtype=dtype)
    prints, snapshots = [], []
    for _ in range(3):
        prints.append(model.fingerprint())
        snapshots.append(low_rank(model).apply(model))
    assert len(set(prints)) == 3
    for fingerprint, snapshot in zip(reversed(prints), reversed(snapshots), strict=True):
        snapshot.restore(model)
        assert model.fingerprint() == fingerprint


def test_a_low_rank_change_is_its_product() -> None:
    model = random_model("gpt2")
    before = model.weight(0).clone()
    update = low_rank(model, (0,))
    update.apply(model)
    change = update.changes[model.weight_name(0)]
    assert isinstance(change, LowRank)
    torch.testing.assert_close(model.weight(0) - before, change.left @ change.right.T, rtol=1e-4, atol=1e-4)


def test_an_update_of_another_base_is_refused() -> None:
    model = random_model("gpt2")
    update = low_rank(model)
    update.apply(model)
    with pytest.raises(UpdateError, match="made for other weights than those random gpt2 has now"):
        update.apply(model)


def test_a_rebuilt_update_belongs_to_its_model() -> None:
    one, other = random_model("gpt2", seed=0), random_model("gpt2", seed=1)
    name = one.weight_name(0)
    update = Update({name: Rebuilt(one.weight(0).clone(), torch.ones(one.d, one.f))}, one.origin)
    update.apply(one)
    once = one.fingerprint()
    update.apply(one)
    assert one.fingerprint() == once
    with pytest.raises(UpdateError, match="made for other weights"):
        update.apply(other)


def test_a_weight_that_its_type_cannot_hold_is_refused() -> None:
    model = random_model("gpt2", dtype=torch.float16)
    before = model.fingerprint()
    name = model.weight_name(0)
    update = Update({name: Replaced(torch.full((model.d, model.f), 1e5))}, model.fingerprint([name]))
    with pytest.raises(UpdateError, match="not finite"):
        update.apply(model)
    assert model.fingerprint() == before


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_diverged_update_writes_nothing(bad: float) -> None:
    model = random_model("gpt2")
    before = model.fingerprint()
    good = Replaced(torch.zeros(model.d, model.f))
    wild = Replaced(torch.full((model.d, model.f), bad))
    changes = {model.weight_name(0): good, model.weight_name(1): wild}
    with pytest.raises(UpdateError, match="not finite; the edit diverged, nothing was written"):
        Update(changes, model.fingerprint(changes)).apply(model)
    assert model.fingerprint() == before


def test_wrong_shape_and_missing_parameter_are_named() -> None:
    model = random_model("gpt2")
    name = model.weight_name(0)
    with pytest.raises(UpdateError, match=r"has shape \(3, 3\), expected \(16, 24\)"):
        Update({name: Replaced(torch.zeros(3, 3))}, model.fingerprint([name])).apply(model)
    with pytest.raises(UpdateError, match=r"random gpt2 has no parameter 'no.such.weight'"):
        Update({"no.such.weight": Replaced(torch.zeros(3, 3))}, "").apply(model)


def test_an_update_without_changes_changes_nothing() -> None:
    model = random_model("gpt2")
    before = model.fingerprint()
    Update({}, model.fingerprint([])).apply(model)
    assert model.fingerprint() == before


def logits(model: LanguageModel) -> Tensor:
    with torch.no_grad():
        return model.module(torch.tensor([[5, 6, 7]])).logits


def test_a_memory_is_installed_replaced_copied_and_taken_out() -> None:
    model = random_model("gpt2")
    untouched, fingerprint = logits(model), model.fingerprint()
    outcomes, prints, snapshots = [], [], []
    for size in (1.0, 2.0):
        update = Update({}, model.fingerprint(), memory=Push(torch.full((model.d,), size)))
        snapshots.append(update.apply(model))
        outcomes.append(logits(model))
        prints.append(model.fingerprint())
    assert len({fingerprint, *prints}) == 3
    twin = model.copy()
    snapshots[1].restore(model)
    assert torch.equal(logits(model), outcomes[0])
    assert torch.equal(logits(twin), outcomes[1])  # a copy keeps its own
    with pytest.raises(UpdateError, match="its memory"):
        update.apply(twin)
    snapshots[0].restore(model)
    assert torch.equal(logits(model), untouched)
    assert model.fingerprint() == fingerprint
    assert not any(module._forward_hooks for module in model.module.modules())
