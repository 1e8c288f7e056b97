# SPDX-License-Identifier: Apache-2.0
"""Copies of a module that share its weights until one is written, so that a full model has to fit once."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

__all__ = ["own_storage", "shared_copy", "write"]

M = TypeVar("M", bound=nn.Module)
# Stands on the parameter itself, because a module may be wrapped anew.
_SHARED = "kedit_storage_is_shared"


def shared_copy(module: M) -> M:
    """A deep copy of a module whose parameters are objects of their own over the storages of `module`'s.

    Whoever changes such a parameter must do it by `write`; what is written in place reaches all copies.
    """
    known: dict[int, object] = {}
    for parameter in module.parameters():  # tied ones once
        setattr(parameter, _SHARED, True)
        twin = nn.Parameter(parameter.detach(), requires_grad=parameter.requires_grad)
        setattr(twin, _SHARED, True)
        known[id(parameter)] = twin
    return copy.deepcopy(module, known)


def write(parameter: nn.Parameter, stored: Tensor) -> None:
    """Give a parameter the numbers of `stored`, of its shape; in a new storage if the old one is shared."""
    with torch.no_grad():
        if getattr(parameter, _SHARED, False):
            parameter.data = torch.empty_like(parameter).copy_(stored)
            setattr(parameter, _SHARED, False)
        else:
            parameter.copy_(stored)


def own_storage(module: nn.Module) -> None:
    """Put every parameter in a storage allocated for it alone, one after the other.

    Weights read from a file begin where the file has them, and where a tensor begins moves the last bits of a product.
    """
    for parameter in module.parameters():
        parameter.data = parameter.detach().clone()
