# SPDX-License-Identifier: Apache-2.0
"""Systems without a trustworthy solution are refused in a sentence, and zero keys under a penalty ask for nothing."""

from __future__ import annotations

import pytest
import torch

from kedit.locate_then_edit.solvers import SolveError, cholesky, constrained, rank_one, ridge


def test_constraints_on_nothing_are_refused() -> None:
    eye = torch.eye(4, dtype=torch.float64)
    with pytest.raises(SolveError, match="every key is zero"):
        constrained(torch.zeros(4, 2), torch.ones(3, 2), eye)
    with pytest.raises(SolveError, match="slack not negative"):
        constrained(torch.ones(4, 2), torch.ones(3, 2), eye, 1.0, -1.0)


def test_a_zero_key_changes_nothing_under_a_ridge() -> None:
    left, right = ridge(torch.zeros(4, 1), torch.ones(3, 1), torch.eye(4, dtype=torch.float64), 1.0)
    assert torch.equal(left @ right.T, torch.zeros(3, 4, dtype=torch.float64))


def test_a_zero_key_has_no_exact_edit() -> None:
    with pytest.raises(SolveError, match="is 0: it must be positive"):
        rank_one(torch.ones(3), torch.zeros(4), torch.zeros(4), None)


def test_keys_that_do_not_meet_have_no_exact_edit() -> None:
    with pytest.raises(SolveError, match="use one averaged key for both"):
        rank_one(torch.ones(3), torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), None)


def test_a_rank_deficient_matrix_is_refused() -> None:
    matrix = torch.diag(torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))
    with pytest.raises(SolveError, match=r"the sum \(3 x 3\) is not positive definite at row 3"):
        cholesky(matrix, "the sum")


def test_a_ridge_of_zero_is_refused() -> None:
    with pytest.raises(SolveError, match="must be positive"):
        ridge(torch.ones(2, 1), torch.ones(2, 1), torch.eye(2, dtype=torch.float64), 0.0)
