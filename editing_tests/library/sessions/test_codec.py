# SPDX-License-Identifier: Apache-2.0
"""Values to JSON and tensors and back: the same values, the same bits, the same strides, and nothing else."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from editing_tests.library.profiles import drawn
from editing_tests.library.sessions.counting import Push
from kedit.facts import Fact, Prompt
from kedit.sessions import SessionError
from kedit.sessions.codec import Decoder, Encoder, to_json
from kedit.statistics.second_moments import SecondMoment
from kedit.updates import LowRank

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.bool)


def there_and_back(value: Any, packages: tuple[str, ...] = ("editing_tests",)) -> Any:
    encoder = Encoder(packages)
    tree = json.loads(to_json(encoder.encode(value, "value")))
    held = {digest: tensor.detach().contiguous().clone() for digest, tensor in encoder.tensors.items()}
    return Decoder(held.__getitem__, packages).decode(tree, "value")


def same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        bits = one.contiguous().reshape(-1).view(torch.uint8), other.contiguous().reshape(-1).view(torch.uint8)
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(*bits)
    if isinstance(one, float):
        return (one == other and math.copysign(1, one) == math.copysign(1, other)) or (one != one and other != other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict | MappingProxyType):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if dataclasses.is_dataclass(one):
        names = [f.name for f in dataclasses.fields(one) if not f.name.startswith("_")]
        return all(same(getattr(one, name), getattr(other, name)) for name in names)
    return bool(one == other)


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(draw(st.integers(0, 9))))
    tensor = (100 * tensor).to(draw(st.sampled_from(DTYPES)))
    if tensor.dim() and draw(st.booleans()):
        tensor = tensor.permute(draw(st.permutations(range(tensor.dim()))))
    return tensor


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
keys = st.integers() | st.text() | st.tuples(st.integers(), st.text())
nested = st.recursive(
    scalars | tensors(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
        | st.dictionaries(keys, inner, max_size=3).map(MappingProxyType)
        | st.builds(LowRank, inner, inner)
        | st.builds(Fact, st.builds(Prompt, st.text(), st.text(), st.text()), st.text(), st.text())
    ),
    max_leaves=12,
)


@drawn(2)
@given(nested)
def test_nested_values_come_back(value: Any) -> None:
    assert same(there_and_back(value), value)


@drawn()
@given(tensors())
def test_strides_come_back(tensor: Tensor) -> None:
    assert there_and_back(tensor).stride() == tensor.stride() or not tensor.numel()


def test_slices_and_expanded_tensors_come_back() -> None:
    wide = torch.arange(24.0).view(4, 6)
    for part in (wide[:, 1:3], wide[::2, ::3], wide.T[1:3]):
        back = there_and_back(part)
        assert same(back, part) and back.stride() == part.stride()
    spread = torch.arange(3.0)[:, None].expand(3, 5)
    assert same(there_and_back(spread), spread)


def test_what_was_one_object_is_one_again_and_caches_stay_behind() -> None:
    moment = SecondMoment(0, torch.eye(3, dtype=torch.float64), 9, "m", "c")
    moment.factor(0.1)
    one, (other, matrix) = there_and_back((moment, [moment, moment.matrix]))
    assert one is other and one.matrix is matrix
    assert one._factors == {}
    assert torch.equal(one.factor(0.1), moment.factor(0.1))


@dataclass
class Loose:
    x: int


class Plain:
    pass


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1, 2}, r"value is a builtins:set, which a session cannot store; make it a frozen dataclass of plain data"),
        ({"a": [object()]}, r"value\['a'\]\[0\] is a builtins:object"),
        (LowRank(torch.ones(1), Plain()), r"value.right is a .*:Plain, which a session cannot store"),  # type: ignore[arg-type]
        (torch.nn.Parameter(torch.ones(2)), r"Parameter, which a session cannot store"),
        (torch.ones(2, requires_grad=True), "make it dense, real and detached"),
        (torch.ones(2).to_sparse(), "make it dense, real and detached"),
    ],
)
def test_what_cannot_be_stored_is_named(value: Any, message: str) -> None:
    with pytest.raises(SessionError, match=message):
        there_and_back(value)


def test_types_that_may_change_or_have_no_place_are_refused() -> None:
    @dataclass(frozen=True)
    class Inside:
        x: int

    with pytest.raises(SessionError, match="cannot be found"):
        there_and_back(Inside(1))
    with pytest.raises(SessionError, match="a dataclass that may change; make it a frozen dataclass"):
        Encoder({Loose.__module__.split(".")[0]}).encode(Loose(1), "value")


def test_types_of_other_packages_are_refused_both_ways() -> None:
    with pytest.raises(SessionError, match="only types of kedit and of the editor's package are stored"):
        there_and_back(Push(torch.ones(2)), ())
    for name in ("os:system", "subprocess:Popen", "builtins:eval"):
        with pytest.raises(SessionError, match="only types of kedit"):
            Decoder({}.__getitem__).decode({"record": name, "fields": {"command": "true"}}, "value")
    for name in ("kedit.cli:main", "kedit.models.language_model:LanguageModel", "kedit.files:os.system"):
        with pytest.raises(SessionError, match="cannot store"):
            Decoder({}.__getitem__).decode({"record": name, "fields": {"argv": ["gate"]}}, "value")


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"tuple": 3},
        {"dict": [[1]]},
        {"float": "12"},
        {"record": "kedit.updates:LowRank", "fields": {"left": 1, "up": 2}},
        {"record": "kedit.updates:LowRank", "fields": {"left": 1}},
    ],
)
def test_damaged_trees_are_refused(tree: Any) -> None:
    with pytest.raises(SessionError, match=r"of another version|by another version"):
        Decoder({}.__getitem__).decode(tree, "value")
