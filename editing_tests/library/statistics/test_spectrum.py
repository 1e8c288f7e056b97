# SPDX-License-Identifier: Apache-2.0
"""Ranks and condition numbers of matrices whose eigenvalues are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from kedit.statistics.gram import Gram, whole
from kedit.statistics.spectrum import spectrum


def turned(*values: float) -> Tensor:
    torch.manual_seed(0)
    basis = torch.linalg.qr(torch.randn(len(values), len(values), dtype=torch.float64)).Q
    return basis @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ basis.T


def test_equal_eigenvalues_have_full_effective_rank() -> None:
    found = spectrum(turned(*[3.0] * 16))
    assert found.effective_rank == pytest.approx(16) and found.rank == 16
    assert found.condition == pytest.approx(1) and found.damped_condition == pytest.approx(1)
    assert found.freedom == pytest.approx(16 / 1.0001)


def test_a_steep_spectrum() -> None:
    found = spectrum(turned(1e-6, 1.0, 1.0, 2.0), damping=1e-3)
    shares = [0.25, 0.25, 0.5]
    assert found.effective_rank == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares)), rel=1e-4)
    assert found.condition == pytest.approx(2e6, rel=1e-4)
    ridge = 1e-3 * (4.0 + 1e-6) / 4
    assert found.damped_condition == pytest.approx((2 + ridge) / (1e-6 + ridge), rel=1e-6)


def test_a_deficient_rank_has_no_condition_until_it_is_damped() -> None:
    found = spectrum(turned(0.0, 0.0, 1.0, 1.0))
    assert found.rank == 2 and math.isinf(found.condition)
    assert found.damped_condition == pytest.approx(1 + 2e4, rel=1e-3)


@pytest.mark.parametrize("f", [1, 5, 24, 37])
def test_strips_are_the_lower_triangle_of_the_sum(f: int) -> None:
    torch.manual_seed(1)
    keys = torch.randn(3, 50, f)
    gram = Gram(f)
    for part in keys:
        gram.add(part)
    flat = keys.flatten(0, 1).double()
    torch.testing.assert_close(gram.matrix(), flat.T @ flat, rtol=1e-5, atol=1e-5)
    again = Gram(f)
    again.put(gram.strips)
    assert torch.equal(whole(again.strips), gram.matrix()) and torch.equal(gram.matrix(), gram.matrix().T)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_products_in_float32_lose_little_against_float64(dtype: torch.dtype) -> None:
    """Half-precision keys are summed as they are, and chunks never in float32."""
    torch.manual_seed(2)
    quick, exact = Gram(40), Gram(40, exact=True)
    for _ in range(50):
        keys = (torch.randn(200, 40) * torch.logspace(-2, 1, 40)).to(dtype)
        quick.add(keys)
        exact.add(keys)
    assert 0 < float((quick.matrix() - exact.matrix()).norm() / exact.matrix().norm()) < 1e-7
