# SPDX-License-Identifier: Apache-2.0
"""Hypernetworks: networks trained to turn the gradient of a fact into an edit (MEND, Mitchell et al. 2022)."""

from __future__ import annotations

from kedit.hypernetworks.factors import Factors, mlp_matrices, read_factors
from kedit.hypernetworks.transform import HyperNetwork, HypernetworkError

__all__ = ["Factors", "HyperNetwork", "HypernetworkError", "mlp_matrices", "read_factors"]
