# SPDX-License-Identifier: Apache-2.0
"""Algebraic oracles: every solver against an independent formula, float64, dimensions down to 1."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from torch import Tensor

from kedit.locate_then_edit.history import FactoredSum
from kedit.locate_then_edit.solvers import SolveError, constrained, null_space, rank_one, ridge

sizes = st.integers(1, 12)
seeds = st.integers(0, 2**32 - 1)
strengths = st.sampled_from([1e-2, 1.0, 30.0])


def problem(seed: int, d: int, f: int, n: int, repeats: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Second moment `(f, f)` of condition at most about 1e4, keys `(f, n)`, residuals `(d, n)`; with `repeats` two keys
    are equal, and one between them is zero."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(f, f)))
    moment = basis @ np.diag(10 ** rng.uniform(-2, 2, f)) @ basis.T
    keys = rng.normal(size=(f, n))
    if repeats:
        keys[:, -1] = keys[:, 0]
        keys[:, 1 : n - 1][:, :1] = 0
    return torch.tensor((moment + moment.T) / 2), torch.tensor(keys), torch.tensor(rng.normal(size=(d, n)))


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm().clamp(min=1e-300))


@given(seeds, sizes, sizes, st.integers(1, 20), strengths, st.booleans())
@example(0, 1, 1, 1, 1.0, False)
@example(1, 3, 2, 9, 1.0, True)
def test_ridge_equals_the_direct_inverse(seed: int, d: int, f: int, n: int, strength: float, repeats: bool) -> None:
    moment, keys, residuals = problem(seed, d, f, n, repeats)
    left, right = ridge(keys, residuals, torch.linalg.cholesky(moment), strength)
    k, r = keys.numpy(), residuals.numpy()
    direct = r @ k.T @ np.linalg.inv(strength * moment.numpy() + k @ k.T)
    assert relative(left @ right.T, torch.tensor(direct)) < 1e-9
    # Stationarity of the least-squares objective, another way to say the same.
    delta = left @ right.T
    assert relative(delta @ (strength * moment + keys @ keys.T), residuals @ keys.T) < 1e-9


@given(seeds, sizes, sizes, strengths)
def test_ridge_of_one_fact_is_a_shrunken_rank_one_edit(seed: int, d: int, f: int, strength: float) -> None:
    moment, keys, residuals = problem(seed, d, f, 1, False)
    factor = torch.linalg.cholesky(moment)
    left, right = ridge(keys, residuals, factor, strength)
    exact_left, exact_right = rank_one(residuals[:, 0], keys[:, 0], keys[:, 0], factor)
    weighted = torch.linalg.solve(moment, keys[:, 0])
    s = float(keys[:, 0] @ weighted)
    assert relative(left @ right.T, residuals * weighted / (strength + s)) < 1e-10
    assert relative(left @ right.T, exact_left @ exact_right.T * s / (strength + s)) < 1e-9


@given(seeds, sizes, sizes)
def test_equal_keys_with_two_targets_recall_their_mean(seed: int, d: int, f: int) -> None:
    moment, keys, _ = problem(seed, d, f, 1, False)
    residuals = torch.tensor(np.random.default_rng(seed).normal(size=(d, 2)))
    strength = 1e-6
    left, right = ridge(keys.repeat(1, 2), residuals, torch.linalg.cholesky(moment), strength)
    s = float(keys[:, 0] @ torch.linalg.solve(moment, keys[:, 0]))
    recalled = residuals.mean(1) * 2 * s / (2 * s + strength)
    assert torch.allclose(left @ right.T @ keys[:, 0], recalled, atol=1e-6)


@given(seeds, sizes, sizes, st.booleans(), st.booleans())
@example(0, 1, 1, True, True)
def test_the_edited_layer_says_the_value_on_the_key_that_is_reached(
    seed: int, d: int, f: int, mixed: bool, covariance: bool
) -> None:
    """ROME `W' k0 + b = z` with the direction of another key, r-ROME `W' k + b = z`; two keys that point away from each
    other are refused."""
    moment, keys, values = problem(seed, d, f, 2, False)
    rng = np.random.default_rng(seed + 1)
    weight, bias = torch.tensor(rng.normal(size=(d, f))), torch.tensor(rng.normal(size=d))
    wanted, asked, reached = values[:, 0], keys[:, 0], keys[:, 1 if mixed else 0]
    direction = torch.linalg.solve(moment, asked) if covariance else asked
    cosine = float(reached @ direction / (reached.norm() * direction.norm()))
    assume(abs(cosine) > 1e-3)
    factor = torch.linalg.cholesky(moment) if covariance else None
    residual = wanted - (weight @ reached + bias)
    if cosine < 0:
        with pytest.raises(SolveError, match="use one averaged key for both"):
            rank_one(residual, asked, reached, factor)
        return
    left, right = rank_one(residual, asked, reached, factor)
    said = (weight + left @ right.T) @ reached + bias
    assert float((said - wanted).norm()) < 1e-10 * max(1.0, float(residual.norm()))
    assert relative(left @ right.T, torch.outer(residual, direction) / (reached @ direction)) < 1e-8


@given(seeds, sizes, sizes, st.integers(1, 8), st.sampled_from([1.0, 50.0]))
@example(0, 1, 1, 1, 1.0)
def test_constraints_that_can_be_met_are_met_exactly(seed: int, d: int, f: int, n: int, alpha: float) -> None:
    moment, keys, residuals = problem(seed, d, f, min(n, f), False)
    found = constrained(keys, residuals, torch.linalg.cholesky(moment), alpha)
    delta = found.left @ found.right.T
    assert found.rank == keys.shape[1]
    assert relative(delta @ keys, residuals) < 1e-7  # keys drawn at random may almost depend on each other
    # Of all solutions it moves preserved keys least: what it adds is orthogonal, under C, to all that keys do not see.
    blind = torch.eye(f, dtype=torch.float64) - keys @ torch.linalg.pinv(keys)
    assert float((delta @ moment @ blind).norm() / (delta @ moment).norm()) < 1e-6


@given(seeds, sizes, sizes, st.integers(1, 20), st.sampled_from([0.1, 1.0, 20.0]), st.booleans())
def test_constraints_with_slack_are_a_ridge(seed: int, d: int, f: int, n: int, slack: float, repeats: bool) -> None:
    moment, keys, residuals = problem(seed, d, f, n, repeats)
    factor = torch.linalg.cholesky(moment)
    found = constrained(keys, residuals, factor, 3.0, slack)
    left, right = ridge(keys, residuals, factor, 3.0 * slack)
    assert relative(found.left @ found.right.T, left @ right.T) < 1e-9


@given(seeds, sizes, sizes)
def test_one_constraint_is_the_rank_one_edit(seed: int, d: int, f: int) -> None:
    moment, keys, residuals = problem(seed, d, f, 1, False)
    factor = torch.linalg.cholesky(moment)
    found = constrained(keys, residuals, factor, 7.0)
    left, right = rank_one(residuals[:, 0], keys[:, 0], keys[:, 0], factor)
    assert relative(found.left @ found.right.T, left @ right.T) < 1e-10


@given(seeds, sizes, st.integers(2, 12))
def test_contradicting_constraints_are_met_in_the_mean_and_zero_keys_ask_nothing(seed: int, d: int, f: int) -> None:
    moment, keys, residuals = problem(seed, d, f, 3, False)
    keys[:, 1], keys[:, 2] = keys[:, 0], 0
    found = constrained(keys, residuals, torch.linalg.cholesky(moment))
    assert found.rank == 1
    assert relative(found.left @ found.right.T @ keys[:, 0], residuals[:, :2].mean(1)) < 1e-9


def orthonormal(seed: int, f: int, q: int) -> Tensor:
    columns = np.random.default_rng(seed).normal(size=(f, f))
    return torch.tensor(np.linalg.qr(columns)[0][:, :q])


def projected(keys: Tensor, residuals: Tensor, basis: Tensor, earlier: Tensor, l2: float) -> Tensor:
    """AlphaEdit's least squares inside a null space, after calls with the keys `earlier` in its basis."""
    total = FactoredSum.start(torch.eye(basis.shape[1], dtype=torch.float64), l2).plus(earlier)
    left, right = total.ridge(basis.T @ keys, residuals)
    return left @ (basis @ right).T


@given(seeds, sizes, sizes, st.integers(1, 8), st.booleans(), st.data())
def test_three_forms_of_the_projected_ridge_are_one(
    seed: int, d: int, f: int, n: int, repeats: bool, data: st.DataObject
) -> None:
    _, keys, residuals = problem(seed, d, f, n, repeats)
    basis = orthonormal(seed, f, data.draw(st.integers(1, f)))
    earlier = torch.tensor(np.random.default_rng(seed + 1).normal(size=(f, 3)))
    p, gram = basis @ basis.T, keys @ keys.T + earlier @ earlier.T
    eye = torch.eye(f, dtype=torch.float64)
    delta = projected(keys, residuals, basis, basis.T @ earlier, 0.3)
    assert relative(delta, residuals @ keys.T @ p @ torch.linalg.inv(gram @ p + 0.3 * eye)) < 1e-10
    assert relative(delta, residuals @ keys.T @ p @ torch.linalg.inv(p @ gram @ p + 0.3 * eye) @ p) < 1e-10
    assert float((delta @ (eye - p)).norm()) < 1e-10 * max(1.0, float(delta.norm()))


@given(seeds, sizes, sizes, st.integers(1, 8), strengths)
def test_without_preserved_keys_the_projected_ridge_is_a_plain_one(
    seed: int, d: int, f: int, n: int, strength: float
) -> None:
    _, keys, residuals = problem(seed, d, f, n, True)
    delta = projected(keys, residuals, orthonormal(seed, f, f), keys[:, :0], strength)
    left, right = ridge(keys, residuals, torch.eye(f, dtype=torch.float64), strength)
    assert relative(delta, left @ right.T) < 1e-9


@given(seeds, st.integers(2, 12), st.floats(1e-3, 1e3))
def test_the_null_space_is_relative_and_tells_its_energy(seed: int, f: int, scale: float) -> None:
    moment, _, _ = problem(seed, 1, f, 1, False)
    space, scaled = null_space(moment, 1.5), null_space(scale * moment, 1.5)
    assert space.basis.shape == scaled.basis.shape
    assert torch.allclose(space.basis.T @ space.basis, torch.eye(space.basis.shape[1], dtype=torch.float64), atol=1e-9)
    energy = float((space.basis.T @ moment @ space.basis).trace() / moment.trace())
    assert abs(space.energy - energy) < 1e-9
    with pytest.raises(SolveError, match="give a larger threshold"):
        null_space(moment, 0.0)


@pytest.mark.parametrize("decades", [2, 5, 8])
def test_ridge_is_accurate_where_the_second_moment_is_hardly_of_full_rank(decades: int) -> None:
    """Keys drawn as `C` says; the reference solves in the eigenbasis, where nothing is ill-conditioned."""
    rng, f, n, strength = np.random.default_rng(decades), 48, 5, 1.0
    basis, _ = np.linalg.qr(rng.normal(size=(f, f)))
    root = np.sqrt(np.logspace(0, -decades, f))
    white = rng.normal(size=(f, n))
    keys, residuals = basis @ (root[:, None] * white), rng.normal(size=(3, n))
    moment = torch.tensor((basis * root**2) @ basis.T)
    left, right = ridge(torch.tensor(keys), torch.tensor(residuals), torch.linalg.cholesky(moment), strength)
    inner = np.linalg.inv(strength * np.eye(n) + white.T @ white)
    reference = torch.tensor(residuals @ inner @ (white / root[:, None]).T @ basis.T)
    assert relative(left @ right.T, reference) < 1e-14 * 10**decades
