# SPDX-License-Identifier: Apache-2.0
"""Memories: what answers beside the weights while it is attached to a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from kedit.models.language_model import LanguageModel

__all__ = ["Memory"]


class Memory(Protocol):
    """A value: once made it never changes, and one memory may be attached to several models.

    `LanguageModel.attach` puts it in and takes it out; a model has at most one.
    """

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """All it holds, by name; two memories with equal tensors answer alike."""
        ...

    def attach(self, model: LanguageModel) -> Callable[[], None]:
        """Hook into the model without touching a parameter; the function it returns takes the hooks out again."""
        ...
