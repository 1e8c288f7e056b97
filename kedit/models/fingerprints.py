# SPDX-License-Identifier: Apache-2.0
"""Fingerprints of weights: a hash that is stored, and a checksum that says fast whether to take the hash again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = ["REMEMBER_FROM", "Fingerprints", "checksum", "sha256"]

Named = Sequence[tuple[str, Tensor]]
# What stands for a tensor: name, dtype, shape and two sums.
Sums = tuple[str, torch.dtype, tuple[int, ...], int, int]
Checksum = tuple[Sums, ...]

# From this many bytes on a hash costs more than looking whether it is known.
REMEMBER_FROM = 2**28
# Hashes of tensors remembered at once; a model of eight billion parameters has three hundred, an edit changes six.
REMEMBERED = 4096
# Tensors that are hashed at once, each by a thread of its own: hashing keeps a core busy and lets Python go.
THREADS = min(4, os.cpu_count() or 1)
# Bytes that each thread has on their way to the host at once.
HASHED_AT_ONCE = 2**28
# Words of eight bytes summed at once: what stays in a core's cache, and what keeps a GPU busy.
WORDS, WORDS_ON_GPU = 2**16, 2**22
# Odd constants of a mixing of 64-bit integers, as signed numbers.
MIX = (-0x61C8864680B583EB, -0x40A7B892E31B1A47)


def sha256(named: Named) -> str:
    """Hash over names, dtypes, shapes and bytes, in the order given; tensors come to the host piece by piece."""
    digest = hashlib.sha256()
    for name, tensor in named:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().contiguous().view(-1)
        for piece in flat.split(HASHED_AT_ONCE // tensor.element_size()):
            digest.update(piece.cpu().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def checksum(named: Named) -> Checksum:
    """Two sums modulo 2^64 of each tensor, made where the tensor is.

    The bytes are read as words of 64 bits; the first sum weighs each with an odd number that depends on its place, so
    that no change of a single word goes unseen; the second weighs the upper halves of the words, where the first one's
    weights count for little. Other changes go unseen with a probability of about 2^-32.
    """
    sums = [_sums(tensor.detach()) for _, tensor in named]
    told = torch.stack([pair.cpu() for pair in sums]).tolist() if sums else []
    return tuple(
        (name, tensor.dtype, tuple(tensor.shape), low, high)
        for (name, tensor), (low, high) in zip(named, told, strict=True)
    )


def _sums(tensor: Tensor) -> Tensor:
    """Both sums, `(2,)` int64, on the tensor's device."""
    on_host = tensor.device.type == "cpu"
    words = WORDS if on_host else WORDS_ON_GPU
    flat = tensor.contiguous().view(-1)
    size = flat.element_size()
    longest = min(words, -(-flat.numel() * size // 8))
    weights = _mixed(torch.arange(2 * longest, device=tensor.device)) | 1
    total = torch.zeros(2, dtype=torch.int64, device=tensor.device)
    for number, piece in enumerate(flat.split(8 * words // size)):
        word = _words(piece)
        upper = word >> 32
        pairs = (word, weights[: len(word)]), (upper, weights[longest : longest + len(word)])
        parts = [one.dot(other) if on_host else (one * other).sum() for one, other in pairs]
        total = total * MIX[number % 2] + torch.stack(parts)
    return total


def _words(piece: Tensor) -> Tensor:
    """The bytes of a contiguous vector as int64, with zeros behind the last."""
    size = piece.element_size()
    short = -piece.numel() * size % 8
    if short:
        filled = piece.new_zeros(piece.numel() + short // size) if not short % size else None
        if filled is None:
            filled = torch.zeros(piece.numel() * size + short, dtype=torch.uint8, device=piece.device)
            filled[: piece.numel() * size] = piece.view(torch.uint8)
        else:
            filled[: piece.numel()] = piece
        piece = filled
    elif piece.storage_offset() * size % 8:
        piece = piece.clone()
    return piece.view(torch.int64)


def _mixed(numbers: Tensor) -> Tensor:
    for constant in MIX:
        numbers = (numbers + 1) * constant
        numbers = numbers ^ (numbers >> 31)
    return numbers


@dataclass
class Fingerprints:
    """Hashes of sets of tensors; those of large sets are remembered tensor by tensor, under their checksums."""

    _known: dict[Sums, str] = field(default_factory=dict)

    def of(self, named: Named) -> str:
        """`sha256` of the tensors as they are now; from `REMEMBER_FROM` bytes on the hash of the hashes of each, so
        that after an edit only what it changed is hashed."""
        if sum(tensor.numel() * tensor.element_size() for _, tensor in named) < REMEMBER_FROM:
            return sha256(named)
        sums = checksum(named)
        fresh = {key: pair for key, pair in zip(sums, named, strict=True) if key not in self._known}
        with ThreadPoolExecutor(THREADS) as pool:
            self._known.update(zip(fresh, pool.map(lambda pair: sha256([pair]), fresh.values()), strict=True))
        whole = hashlib.sha256("".join(self._known[key] for key in sums).encode()).hexdigest()
        self._known.update({key: self._known.pop(key) for key in dict.fromkeys(sums)})  # the latest used are last
        for key in list(self._known)[:-REMEMBERED]:
            del self._known[key]
        return whole
