# SPDX-License-Identifier: Apache-2.0
"""The simplest memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from kedit.models import LanguageModel
from kedit.models.activations import Site, hooked


@dataclass(frozen=True)
class Push:
    """A memory that moves the output of block 1."""

    by: Tensor

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        return {"by": self.by}

    def attach(self, model: LanguageModel) -> Callable[[], None]:
        hook = hooked(model, Site("block", 1), lambda hidden: hidden + self.by)
        hook.__enter__()
        return lambda: hook.__exit__(None, None, None)
