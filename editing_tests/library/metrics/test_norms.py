# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from kedit.metrics import FROBENIUS, L1, RELATIVE_CHANGE, Metric, MetricError

WEIGHT = torch.tensor([[3.0, 0.0, -4.0], [0.0, 0.0, 0.0]])


def test_by_hand() -> None:
    assert L1(WEIGHT) == pytest.approx(7 / 6)
    assert FROBENIUS(WEIGHT) == pytest.approx(5.0)


def test_relative_change_is_against_the_base() -> None:
    assert RELATIVE_CHANGE(3 * WEIGHT, WEIGHT) == pytest.approx(2.0)
    assert RELATIVE_CHANGE(WEIGHT, WEIGHT) == 0.0


def test_half_precision_is_summed_in_double() -> None:
    large = torch.full((2, 2), 60000.0, dtype=torch.float16)  # both sums are above float16's largest number
    assert FROBENIUS(large) == 120000.0
    assert L1(large) == 60000.0


@pytest.mark.parametrize("metric", [L1, FROBENIUS])
def test_an_empty_weight_has_no_norm(metric: Metric[[torch.Tensor]]) -> None:
    with pytest.raises(MetricError):
        metric(torch.empty(0, 3))


def test_relative_change_refuses_other_shapes_and_a_zero_base() -> None:
    with pytest.raises(MetricError, match="same parameter"):
        RELATIVE_CHANGE(WEIGHT.T, WEIGHT)
    with pytest.raises(MetricError, match="zero weight"):
        RELATIVE_CHANGE(WEIGHT, torch.zeros_like(WEIGHT))
