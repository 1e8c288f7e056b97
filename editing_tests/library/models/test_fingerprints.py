# SPDX-License-Identifier: Apache-2.0
"""Fingerprints keep their values, and a remembered one is never that of other weights."""

from __future__ import annotations

import hashlib

import pytest
import torch
from torch import Tensor

from editing_tests.library.random_models import random_model
from kedit.models import fingerprints
from kedit.models.fingerprints import Fingerprints, checksum, sha256

DTYPES = (torch.float32, torch.bfloat16, torch.float64, torch.uint8)


@pytest.fixture
def few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks, so that small tensors have several, and every size is worth remembering."""
    monkeypatch.setattr(fingerprints, "WORDS", 8)
    monkeypatch.setattr(fingerprints, "REMEMBER_FROM", 0)


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every hash that is taken."""
    taken: list[str] = []
    plain = sha256

    def count(named: fingerprints.Named) -> str:
        taken.append(plain(named))
        return taken[-1]

    monkeypatch.setattr(fingerprints, "sha256", count)
    return taken


def numbers(size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    if not dtype.is_floating_point:
        return torch.randint(0, 256, (size,), dtype=dtype, generator=generator)
    return torch.randn(size, generator=generator).to(dtype)


def test_the_hash_is_that_of_names_dtypes_shapes_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "HASHED_AT_ONCE", 64)
    one, other = numbers(60).view(6, 10).T, numbers(33, torch.bfloat16)
    expected = hashlib.sha256(b"a torch.float32 (10, 6)" + one.contiguous().numpy().tobytes())
    expected.update(b"b torch.bfloat16 (33,)" + other.view(torch.uint8).numpy().tobytes())
    assert sha256([("a", one), ("b", other)]) == expected.hexdigest()


@pytest.mark.usefixtures("few_words")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 7, 16, 41])
def test_every_flipped_bit_is_seen(dtype: torch.dtype, size: int) -> None:
    tensor = numbers(size, dtype)
    before = checksum([("a", tensor)])
    raw = tensor.view(torch.uint8)
    for byte in range(len(raw)):
        for bit in (1, 16, 128):
            raw[byte] ^= bit
            assert checksum([("a", tensor)]) != before
            raw[byte] ^= bit
    assert checksum([("a", tensor)]) == before


@pytest.mark.usefixtures("few_words")
@pytest.mark.parametrize("dtype", DTYPES)
def test_two_swapped_elements_are_seen(dtype: torch.dtype) -> None:
    for tensor in (
        numbers(41, dtype),
        torch.arange(24).remainder(2).to(dtype),
        torch.arange(41).sub(20).sign().to(dtype),
    ):
        before = checksum([("a", tensor)])
        for i in range(24):
            for j in range(i):
                if tensor[i] != tensor[j]:
                    swapped = tensor.clone()
                    swapped[i], swapped[j] = tensor[j], tensor[i]
                    assert checksum([("a", swapped)]) != before


@pytest.mark.usefixtures("few_words")
def test_layout_in_memory_does_not_count_and_the_name_does() -> None:
    tensor = numbers(60).view(6, 10)
    turned, offset = tensor.T.contiguous().T, torch.cat([numbers(1), tensor.flatten()])[1:].view(6, 10)
    assert checksum([("a", tensor)]) == checksum([("a", turned)]) == checksum([("a", offset)])
    assert len({checksum([(name, part)]) for name, part in (("a", tensor), ("b", tensor), ("a", tensor.T))}) == 3
    assert checksum([]) == () and checksum([("a", torch.zeros(0))])[0][3:] == (0, 0)


@pytest.mark.usefixtures("few_words")
def test_the_hash_is_taken_once_for_equal_weights(hashes: list[str]) -> None:
    model = random_model("gpt2")
    name, plain = model.weight_name(1), model.origin
    hashes.clear()
    assert {model.fingerprint(), model.copy().fingerprint(), model.fingerprint()} == {plain}
    assert not hashes
    weight = model.parameter(name)
    kept = weight.detach().clone()
    weight.data[0, 0] += 1  # in place, beside autograd's count of versions
    assert model.fingerprint() != plain
    assert len(hashes) == 1  # of the one tensor that changed
    weight.data = kept
    assert model.fingerprint() == plain
    assert len(hashes) == 1


@pytest.mark.usefixtures("few_words")
def test_a_large_set_has_the_hash_of_the_hashes_of_its_tensors() -> None:
    model = random_model("llama", dtype=torch.bfloat16)
    names = [model.weight_name(1), model.weight_name(0)]
    each = [sha256([(name, model.parameter(name))]) for name in sorted(names)]
    assert model.fingerprint(names) == hashlib.sha256("".join(each).encode()).hexdigest()
    assert model.fingerprint(names) == random_model("llama", dtype=torch.bfloat16).fingerprint(names)


@pytest.mark.usefixtures("few_words")
def test_the_oldest_is_forgotten(hashes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "REMEMBERED", 2)
    known = Fingerprints()
    for start in (0, 1, 2, 2, 1, 0):
        known.of([("a", torch.arange(start, start + 5))])
    assert len(hashes) == 4


def test_the_way_through_a_gpu_runs_as_far_as_shapes_go() -> None:
    sums = fingerprints._sums(torch.empty(3, 11, dtype=torch.bfloat16, device="meta"))
    assert sums.shape == (2,) and sums.dtype == torch.int64 and sums.device.type == "meta"
    one, other = fingerprints._words(numbers(40)), fingerprints._mixed(torch.arange(20))
    assert one.dot(other) == (one * other).sum()  # what a CPU and what a GPU does
