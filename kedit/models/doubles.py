# SPDX-License-Identifier: Apache-2.0
"""Float64 where a tensor is: linear systems are solved on the device of the weights they are for."""

from __future__ import annotations

from torch import Tensor

__all__ = ["doubles"]


def doubles(tensor: Tensor) -> Tensor:
    """`tensor` in float64 on its device, in host memory if that is MPS, which has no float64."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()
