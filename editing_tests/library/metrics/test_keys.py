# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from kedit.metrics import AKD, KEY_COSINE, MetricError, key_cosine, nearest_cosines

KEYS = torch.tensor([[3.0, 0.0, 3.0], [0.0, 4.0, 4.0]])  # columns (3, 0), (0, 4), (3, 4)


def test_akd_counts_every_pair_once() -> None:
    assert AKD(KEYS) == pytest.approx((5 + 4 + 3) / 3)


def test_cosine_by_hand() -> None:
    assert key_cosine(KEYS[:, 0], KEYS[:, 2]) == pytest.approx(3 / 5)
    assert KEY_COSINE(KEYS) == pytest.approx((0 + 3 / 5 + 4 / 5) / 3)


def test_equal_keys_are_at_distance_zero_exactly() -> None:
    key = torch.randn(64, 1, generator=torch.Generator().manual_seed(0))
    same = key.expand(-1, 5)
    assert AKD(same) == 0.0
    assert KEY_COSINE(same) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("keys", [torch.empty(4, 0), torch.ones(4, 1), torch.ones(4)])
def test_fewer_than_two_keys_have_no_distance(keys: torch.Tensor) -> None:
    with pytest.raises(MetricError):
        AKD(keys)
    with pytest.raises(MetricError):
        KEY_COSINE(keys)


def test_a_zero_key_has_no_cosine() -> None:
    with pytest.raises(MetricError, match="zero key"):
        key_cosine(torch.zeros(3), torch.ones(3))


def test_keys_of_two_layers_are_not_compared() -> None:
    with pytest.raises(MetricError, match="same layer"):
        key_cosine(torch.ones(3), torch.ones(4))


def test_the_nearest_cosine_is_that_of_the_nearest_other_key() -> None:
    assert nearest_cosines(KEYS).tolist() == pytest.approx([3 / 5, 4 / 5, 4 / 5])
    assert float(nearest_cosines(torch.ones(3, 2) / 7).max()) <= 1.0
    for keys in (torch.ones(4, 1), torch.zeros(4, 2)):
        with pytest.raises(MetricError):
            nearest_cosines(keys)
