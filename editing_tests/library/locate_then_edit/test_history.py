# SPDX-License-Identifier: Apache-2.0
"""Histories of keys that are factored now and then, against the solution from the sums over all keys."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from editing_tests.library.locate_then_edit.direct_history import direct
from editing_tests.library.profiles import drawn
from kedit.gate import tensor_elements
from kedit.locate_then_edit.history import PENDING, FactoredSum, History, staggered
from kedit.locate_then_edit.solvers import SolveError

SIZES = st.lists(st.integers(1, 9) | st.integers(PENDING - 1, 3 * PENDING), min_size=1, max_size=6)
seeds = st.integers(0, 2**31 - 1)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def penalty_of(seed: int, f: int) -> Tensor:
    """`(f, f)`, of condition 1e3."""
    basis = torch.linalg.qr(normal(seed, f, f)).Q
    return (basis * torch.logspace(-1, 2, f, dtype=torch.float64)) @ basis.T


def begun(penalty: Tensor, d: int) -> History:
    return History.start(FactoredSum.start(torch.linalg.cholesky(penalty / 3), 3.0), d)


def tensors(history: History) -> list[Tensor]:
    return [history.total.factor, history.total.keys, history.residuals, history.solution]


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm().clamp(min=1e-300))


def spans(sizes: Sequence[int]) -> list[slice]:
    return [slice(a, b) for a, b in pairwise(accumulate(sizes, initial=0))]


@drawn(0.5)
@given(seeds, st.integers(1, 9), st.integers(1, 12), SIZES)
@example(0, 2, 5, [PENDING, 1, 1])
@example(1, 1, 1, [1, PENDING - 1, 1, 3 * PENDING, 3 * PENDING])
def test_every_call_solves_the_whole_history_and_changes_nothing(seed: int, d: int, f: int, sizes: list[int]) -> None:
    penalty, keys, residuals = penalty_of(seed, f), normal(seed + 1, f, sum(sizes)), normal(seed + 2, d, sum(sizes))
    history = begun(penalty, d)
    held = tensor_elements(history)
    for now in spans(sizes):
        before, kept = tensors(history), [one.clone() for one in tensors(history)]
        folds = history.total.used + now.stop - now.start > PENDING
        delta, after = history.plus(keys[:, now], residuals[:, now])
        seen = keys[:, : now.stop]
        assert relative(delta, direct(penalty, seen, residuals[:, : now.stop])) < 1e-10
        assert all(torch.equal(old, copy) for old, copy in zip(before, kept, strict=True))
        total = after.total.factor @ after.total.factor.T + after.total.keys @ after.total.keys.T
        assert relative(total, penalty + seen @ seen.T) < 1e-12
        assert tensor_elements(after) == held
        assert after.total.used == (0 if folds else history.total.used + now.stop - now.start)
        assert not after.total.keys[:, after.total.used :].any()
        assert (after.total.factor is history.total.factor, after.solution is history.solution) == (not folds,) * 2
        history = after


@drawn(0.5)
@given(seeds, st.integers(1, 9), st.integers(1, 12), SIZES)
@example(0, 2, 5, [PENDING, 1, 1])
def test_residuals_of_now_alone_with_earlier_keys_held(seed: int, d: int, f: int, sizes: list[int]) -> None:
    penalty, keys, residuals = penalty_of(seed, f), normal(seed + 1, f, sum(sizes)), normal(seed + 2, d, sum(sizes))
    total = FactoredSum.start(torch.linalg.cholesky(penalty), 1.0)
    for now in spans(sizes):
        left, right = total.ridge(keys[:, now], residuals[:, now])
        asked = torch.zeros(d, now.stop, dtype=torch.float64)
        asked[:, now] = residuals[:, now]
        assert left.shape[1] == right.shape[1] == now.stop - now.start
        assert relative(left @ right.T, direct(penalty, keys[:, : now.stop], asked)) < 1e-9
        total = total.plus(keys[:, now])


def test_the_order_of_facts_between_folds_is_rounding() -> None:
    penalty, keys, residuals = penalty_of(0, 8), normal(1, 8, 2 * PENDING), normal(2, 3, 2 * PENDING)
    half = torch.randperm(PENDING, generator=torch.Generator().manual_seed(3))
    ends = []
    for order in (torch.arange(2 * PENDING), torch.cat([half, PENDING + half])):
        history = begun(penalty, 3)
        for i in order:
            delta, history = history.plus(keys[:, [i]], residuals[:, [i]])
        ends.append(delta)
    assert 0 < relative(ends[1], ends[0]) < 1e-12


@pytest.mark.parametrize("condition", [1e2, 1e6])
def test_it_stays_accurate_over_folds(condition: float) -> None:
    """Keys drawn as `C` says; the reference solves in the eigenbasis, where nothing is ill-conditioned."""
    f, n = 48, 200
    basis = torch.linalg.qr(normal(0, f, f)).Q
    root = torch.logspace(0, -0.5 * float(torch.log10(torch.tensor(condition))), f, dtype=torch.float64)
    white, residuals = normal(1, f, n), normal(2, 3, n)
    keys = basis @ (root[:, None] * white)
    history = begun((basis * root**2) @ basis.T, 3)
    for i in range(n):
        delta, history = history.plus(keys[:, [i]], residuals[:, [i]])
        seen = white[:, : i + 1]
        if i + 1 in (1, PENDING, PENDING + 1, n):
            inner = torch.linalg.solve(torch.eye(f, dtype=torch.float64) + seen @ seen.T, seen)
            reference = residuals[:, : i + 1] @ inner.T @ (basis / root).T
            assert relative(delta, reference) < 1e-13 * condition


@pytest.mark.parametrize("strength", [0.0, -1.0])
def test_a_penalty_of_nothing_is_refused(strength: float) -> None:
    with pytest.raises(SolveError, match=rf"lambda, or l2 of AlphaEdit\) is {strength}; it must be positive"):
        FactoredSum.start(torch.eye(2, dtype=torch.float64), strength)


def test_a_sum_that_cannot_be_factored_is_refused() -> None:
    total: Any = FactoredSum.start(torch.eye(2, dtype=torch.float64), 1.0)
    with pytest.raises(SolveError, match=r"the penalty and the sum of keys \(2 x 2\) is not positive definite"):
        total.plus(torch.full((2, PENDING + 1), float("nan"), dtype=torch.float64))


def test_layers_fold_in_different_calls_of_single_edits() -> None:
    layers, f = range(3, 9), 5
    begun = staggered(layers)
    assert len(set(begun.values())) == 6 and min(begun.values()) == 0 and max(begun.values()) < PENDING
    factor, keys = torch.linalg.cholesky(penalty_of(0, f)), normal(1, f, 3 * PENDING)
    plain = FactoredSum.start(factor, 2.0)
    sums = {layer: FactoredSum.start(factor, 2.0, used=begun[layer]) for layer in layers}
    for key in keys.split(1, dim=1):
        plain, after = plain.plus(key), {layer: total.plus(key) for layer, total in sums.items()}
        assert sum(after[layer].factor is not sums[layer].factor for layer in layers) <= 1
        sums = after
    target = normal(2, 3, 2)
    expected = torch.matmul(*factors_of(plain, target))
    for total in sums.values():
        torch.testing.assert_close(torch.matmul(*factors_of(total, target)), expected, rtol=1e-10, atol=1e-12)


def factors_of(total: FactoredSum, residuals: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    left, right = total.ridge(normal(3, len(total.factor), 2), residuals)
    return left, right.T
