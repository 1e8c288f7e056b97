# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest

from kedit.metrics import SD, MetricError, S, harmonic_mean


def test_s_is_the_harmonic_mean() -> None:
    assert S(1.0, 0.5, 0.25) == pytest.approx(3 / 7)
    assert S(1.0, 1.0, 1.0) == 1.0


def test_s_is_zero_when_any_rate_is() -> None:
    assert S(1.0, 1.0, 0.0) == 0.0


@pytest.mark.parametrize("values", [[], [1.0, -0.5], [1.0, math.nan]])
def test_what_is_no_rate_has_no_harmonic_mean(values: list[float]) -> None:
    with pytest.raises(MetricError):
        harmonic_mean(values)


def test_sd_is_negative_when_sharing_a_subject_hurts() -> None:
    assert SD(0.25, 1.0) == -0.75
