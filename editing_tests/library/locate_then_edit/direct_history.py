# SPDX-License-Identifier: Apache-2.0
"""The solution over a history as it is written down, from the sums over all keys: the oracle of what avoids them."""

from __future__ import annotations

import torch
from torch import Tensor


def direct(penalty: Tensor, keys: Tensor, residuals: Tensor) -> Tensor:
    """`(sum r k^T) (penalty + sum k k^T)^{-1}`, `(d, f)`, of keys `(f, n)` and residuals `(d, n)` (D4S eq. 13)."""
    return torch.linalg.solve(penalty + keys @ keys.T, keys @ residuals.T).T
