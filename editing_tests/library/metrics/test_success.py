# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch

from kedit.metrics import ES, NS, PS, Comparison, MetricError, mean_log_prob

WIN, LOSS = Comparison(-1.0, -2.0), Comparison(-2.0, -1.0)


def test_the_mean_is_over_tokens() -> None:
    assert mean_log_prob(torch.tensor([1 / 4, 3 / 8]).log()) == pytest.approx(math.log(3 / 32) / 2)


def test_a_target_without_tokens_has_no_probability() -> None:
    with pytest.raises(MetricError, match="at least one token"):
        mean_log_prob(torch.empty(0))


@pytest.mark.parametrize("comparison", [Comparison(-1.0, -1.0), Comparison(math.nan, -1.0), Comparison(-1.0, math.nan)])
def test_ties_and_nan_fail(comparison: Comparison) -> None:
    assert not comparison.succeeds


def test_prompts_are_averaged_before_facts() -> None:
    # By prompt it would be 3/4; by fact it is (2/3 + 1) / 2.
    records = [(WIN, WIN, LOSS), (WIN,)]
    assert PS(records) == NS(records) == pytest.approx(5 / 6)


@pytest.mark.parametrize("records", [[], [(WIN,), ()]])
def test_empty_input_gives_no_number(records: list[tuple[Comparison, ...]]) -> None:
    with pytest.raises(MetricError):
        ES(records)
