# SPDX-License-Identifier: Apache-2.0
"""How much of an update its storage loses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from editing_tests.library.random_models import random_model
from kedit.models import LanguageModel
from kedit.updates import Change, LowRank, Rebuilt, Replaced, Update, UpdateError, lost_to_rounding


def random_factors(model: LanguageModel, size: float) -> LowRank:
    generator = torch.Generator().manual_seed(3)
    left, right = (torch.randn(n, 2, generator=generator, dtype=torch.float64) for n in (model.d, model.f))
    return LowRank(size * left, right)


def lost(model: LanguageModel, change: Change) -> float:
    name = model.weight_name(1)
    before = model.fingerprint()
    found = lost_to_rounding(model, Update({name: change}, model.fingerprint([name])))
    assert list(found) == [name]
    assert model.fingerprint() == before
    return found[name]


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_float32_keeps_all_but_its_own_rounding(family: str) -> None:
    model = random_model(family)
    assert 1e-9 < lost(model, random_factors(model, 0.1)) < 3e-7


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_bfloat16_loses_what_is_smaller_than_its_steps(family: str) -> None:
    model = random_model(family, dtype=torch.bfloat16)
    small, large = (lost(model, random_factors(model, size)) for size in (1e-6, 1.0))
    assert 0.9 < small <= 1.1
    assert large < 0.01


def test_a_sum_that_has_a_number_loses_nothing() -> None:
    model = random_model("llama", dtype=torch.bfloat16)
    with torch.no_grad():
        model.weight(1).fill_(1.0)
    left, right = torch.zeros(model.d, 1), torch.zeros(model.f, 1)
    left[0], right[3] = 1.0, 2.0**-7  # one step of bfloat16 above 1
    assert lost(model, LowRank(left, right)) == 0.0
    assert lost(model, LowRank(left, right / 4)) == 1.0
    assert lost(model, LowRank(left, 3 / 4 * right)) == pytest.approx(1 / 3)


def test_no_change_loses_nothing() -> None:
    model = random_model("llama")
    assert lost(model, LowRank(torch.zeros(model.d, 1), torch.zeros(model.f, 1))) == 0.0


def test_every_kind_of_change_is_measured_against_what_it_means() -> None:
    model = random_model("gpt2", dtype=torch.bfloat16)
    change = random_factors(model, 1e-2)
    delta = (change.left @ change.right.T).float()
    weight = model.weight(1)

    class Third:
        """A change that has no exact sum of its own."""

        def new_weight(self, weight: Tensor) -> Tensor:
            return weight.float() + delta

    expected = lost(model, change)
    for other in (Rebuilt(weight.clone(), delta), Replaced(weight.float() + delta), Third()):
        update = Update({model.weight_name(1): other}, model.fingerprint([model.weight_name(1)]))
        if isinstance(other, Rebuilt):
            update = Update(update.changes, model.origin)
        (found,) = lost_to_rounding(model, update).values()
        assert found == pytest.approx(expected, rel=1e-4)


def test_it_is_what_apply_loses() -> None:
    model = random_model("gpt2", dtype=torch.bfloat16)
    name, change = model.weight_name(1), random_factors(model, 1e-2)
    update = Update({name: change}, model.fingerprint([name]))
    found, before = lost_to_rounding(model, update)[name], model.weight(1).double()
    exact = change.left @ change.right.T
    update.apply(model)
    assert found == pytest.approx(float((model.weight(1).double() - before - exact).norm() / exact.norm()), rel=1e-9)
    with pytest.raises(UpdateError, match="made for other weights"):
        lost_to_rounding(model, update)
