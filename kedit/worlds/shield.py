# SPDX-License-Identifier: Apache-2.0
"""The training-only shield: what the tokens behind a subject may see of it.

In the first blocks they see nothing of it, later only its last token. So a model must collect what it knows about
a subject at the subject's last token in the early MLPs, and read it out afterwards: the flow that ROME and MEMIT
assume. Inference has no shield.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def shield_masks(subject_end: Tensor) -> tuple[Tensor, Tensor]:
    """Additive causal masks `(B, 1, T, T)` for the first blocks and for the later ones.

    Args:
        subject_end: `(B, T)`; for a token of a subject the position of the subject's last token, else a number
            beyond every position.
    """
    size = subject_end.shape[1]
    position = torch.arange(size)
    future = position[None, :] > position[:, None]
    behind = position[None, :, None] > subject_end[:, None, :]
    last = position[None, None, :] == subject_end[:, None, :]
    lowest = torch.finfo(torch.float32).min
    early = torch.zeros(behind.shape).masked_fill_(behind | future, lowest)
    late = torch.zeros(behind.shape).masked_fill_((behind & ~last) | future, lowest)
    return early[:, None], late[:, None]


class Shield:
    """Masks that the attention modules use instead of their own while `attached`.

    Args:
        early: number of blocks in which the tokens behind a subject see nothing of it.
    """

    def __init__(self, early: int) -> None:
        self._early = early
        self._masks: tuple[Tensor, Tensor] | None = None

    def set(self, subject_end: Tensor) -> None:
        """Choose the masks of the next forward pass, from `(B, T)` subject ends."""
        self._masks = shield_masks(subject_end)

    @contextmanager
    def attached(self, attentions: Sequence[nn.Module]) -> Iterator[None]:
        """Hook the attention modules, given from the first block to the last."""
        handles = [
            attention.register_forward_pre_hook(self._hook(int(block >= self._early)), with_kwargs=True)
            for block, attention in enumerate(attentions)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, which: int) -> Any:
        def replace(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            if self._masks is None:
                raise RuntimeError("the shield has no masks; call set() before the forward pass")
            return args, kwargs | {"attention_mask": self._masks[which]}

        return replace
