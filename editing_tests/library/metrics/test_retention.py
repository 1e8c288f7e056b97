# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from kedit.metrics import AFTER_ALL, AFTER_EACH, FORGETTING, MetricError, Retention


def test_forgetting_is_each_minus_all() -> None:
    retention = Retention(each=(1, 1, 1, 0), final=(0, 0, 1, 0))
    assert AFTER_EACH(retention) == 0.75
    assert AFTER_ALL(retention) == 0.25
    assert FORGETTING(retention.each, retention.final) == retention.forgetting == 0.5


def test_a_repaired_edit_is_negative_forgetting() -> None:
    assert FORGETTING((0.0, 1.0), (1.0, 1.0)) == -0.5


@pytest.mark.parametrize(("each", "final"), [((), ()), ((1.0,), ()), ((1.0,), (1.0, 0.0))])
def test_every_edit_is_measured_twice(each: tuple[float, ...], final: tuple[float, ...]) -> None:
    with pytest.raises(MetricError):
        Retention(each, final)
