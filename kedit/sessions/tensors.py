# SPDX-License-Identifier: Apache-2.0
"""Tensors by their content: digests, and the memory layout that has to come back with the numbers.

A product of matrices takes another way through memory for a transposed matrix and may round otherwise. A session that
goes on after a load is to equal one that never stopped, so strides are part of what is stored.
"""

from __future__ import annotations

import hashlib
import weakref
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from kedit.sessions.errors import SessionError

__all__ = ["Digests", "plain", "read_tensors", "strides_of", "with_strides"]


class Digests:
    """Digests of tensors, each computed once a tensor object; a tensor must not change after it was seen."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._known: dict[int, tuple[weakref.ref[Tensor], str]] = {}

    def of(self, tensor: Tensor) -> str:
        """Hash over dtype, shape and numbers, whatever the strides and the device."""
        seen, digest = self._known.get(id(tensor), (None, ""))
        if seen is None or seen() is not tensor:
            stored = plain(tensor)
            hashed = hashlib.sha256(f"{stored.dtype} {tuple(stored.shape)}".encode())
            hashed.update(stored.reshape(-1).view(torch.uint8).numpy().data)
            digest = hashed.hexdigest()
            self.note(tensor, digest)
        return digest

    def note(self, tensor: Tensor, digest: str) -> None:
        """Remember the digest of a tensor that was read from a file."""
        self._known[id(tensor)] = weakref.ref(tensor), digest

    def prune(self) -> None:
        """Forget tensors that are gone."""
        self._known = {key: known for key, known in self._known.items() if known[0]() is not None}


def plain(tensor: Tensor) -> Tensor:
    """The numbers as they are stored: on the CPU, row by row."""
    return tensor.detach().cpu().contiguous()


def strides_of(tensor: Tensor) -> list[int] | None:
    """The strides if they are not those of rows one after the other; None too where entries share a place."""
    strides = list(tensor.stride())
    if not tensor.numel() or strides == list(torch.empty(tensor.shape, device="meta").stride()):
        return None
    reach = 0
    for stride, size in sorted((stride, size) for stride, size in zip(strides, tensor.shape, strict=True) if size > 1):
        if stride <= reach:
            return None
        reach += (size - 1) * stride
    return strides


def with_strides(stored: Tensor, strides: list[int] | None, device: torch.device | str) -> Tensor:
    """A tensor of its own with the numbers of `stored`, laid out as `strides_of` told."""
    if strides is None:
        return stored.to(device, copy=True)
    return torch.empty_strided(stored.shape, strides, dtype=stored.dtype, device=device).copy_(stored)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    Raises:
        SessionError: the file is missing, cut off or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise SessionError(f"{path.name} is damaged or missing ({error}); copy it again from where it came") from error
