# SPDX-License-Identifier: Apache-2.0
"""Two devices on a machine that has none: every storage has a tag, and tensors with different tags do not meet.

A function mode answers `tensor.device` with the tag, moves by `.to`, and tags what is made with `device=`; a dispatch
mode sees every operation, those of a backward pass too, refuses to mix tags, and hands them on. As on real
devices, indices may be on the host, so may a number without dimensions that an elementwise operation reads, and `copy_`
goes from any device to any; numpy sees the host only, and a generator draws where it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from accelerate.hooks import attach_align_device_hook_on_blocks
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers.utils import is_torch_cuda_available

from kedit.models import LanguageModel

HOST, ONE, OTHER = torch.device("cpu"), torch.device("cpu", 1), torch.device("cpu", 2)
CUDA = torch.device("cuda", 0)

# Elementwise operations and others that take a number from the host.
TAKES_NUMBERS = ("aten::masked_fill", "aten::masked_fill_", "aten::fill", "aten::fill_")
INDEXING = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_", "aten::_unsafe_index")


class DifferentDevicesError(RuntimeError):
    """What a real device would say."""


def place(tensor: Tensor) -> torch.device:
    """The fake device a tensor is on; meta tensors have none."""
    if tensor.is_meta:
        return torch.device("meta")
    found: torch.device = getattr(tensor.untyped_storage(), "fake", HOST)
    return found


def put(tensor: Tensor, device: torch.device) -> Tensor:
    """Say that a tensor, and all that share its storage, are on a device."""
    tensor.untyped_storage().fake = device  # type: ignore[attr-defined]
    return tensor


class _Move(torch.autograd.Function):
    """A copy on another device; the gradient comes back to the first."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, device: torch.device) -> Tensor:
        ctx.back = place(tensor)
        return put(tensor.clone(), device)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return put(gradient.clone(), ctx.back), None


class _Operations(TorchDispatchMode):
    """Refuses operations that mix devices; what they make is where their inputs are, or at `making` without inputs."""

    making = HOST

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        leaves = tree_leaves((args, kwargs))
        given = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        free = {id(leaf) for leaf in tree_leaves(args[1]) if isinstance(leaf, Tensor)} if name in INDEXING else set()
        if torch.Tag.pointwise in func.tags or name in (*TAKES_NUMBERS, *INDEXING):
            free |= {id(leaf) for leaf in given if not leaf.dim()} - _written(func, args, kwargs or {})
        places = {place(leaf) for leaf in given if id(leaf) not in free or place(leaf) != HOST}
        if not given:
            places = {self.making}
        if len(places) > 1 and name != "aten::copy_":
            raise DifferentDevicesError(f"{name} expects all tensors on one device, found {sorted(map(str, places))}")
        drawn = {leaf.device for leaf in leaves if isinstance(leaf, torch.Generator)}
        if places and drawn and drawn != places:
            raise DifferentDevicesError(f"{name} expects a generator for {places}, found {drawn}")
        made = func(*args, **(kwargs or {}))
        old = {leaf.untyped_storage()._cdata for leaf in given}
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor) and places and leaf.untyped_storage()._cdata not in old:
                put(leaf, next(iter(places)))
        return made


def _written(func: Any, args: Any, kwargs: Any) -> set[int]:
    """What an operation writes into, which must be where the rest is."""
    named = zip(func._schema.arguments, args, strict=False)
    written = [value for argument, value in named if argument.alias_info is not None and argument.alias_info.is_write]
    return {id(value) for value in (*written, kwargs.get("out"))}


class _Functions(TorchFunctionMode):
    """Answers and moves by tags, and notes the shape of what is moved."""

    def __init__(self, operations: _Operations) -> None:
        super().__init__()
        self.moves: list[tuple[int, ...]] = []
        self._operations = operations

    def _moved(self, before: Tensor, after: Tensor) -> Tensor:
        if place(before) != place(after):
            self.moves.append(tuple(after.shape))
        return after

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        if getattr(func, "__name__", "") == "__get__" and isinstance(args[0], Tensor):  # made anew at every look
            if func in (Tensor.device.__get__, Tensor.is_cuda.__get__, Tensor.is_cpu.__get__):
                here = place(args[0])
                return {Tensor.device.__get__: here, Tensor.is_cuda.__get__: here.type == "cuda"}.get(
                    func, here.type == "cpu"
                )
        elif func in (Tensor.cpu, Tensor.cuda):
            return self._moved(args[0], _moved(args[0], HOST if func is Tensor.cpu else CUDA))
        elif func is Tensor.pin_memory:
            if place(args[0]) != HOST:
                raise RuntimeError(f"cannot pin a tensor on {place(args[0])}, only dense tensors on the host can be")
            return args[0]
        elif func is Tensor.to or (func in (torch.as_tensor, torch.asarray) and isinstance(args[0], Tensor)):
            return self._moved(args[0], _to(*args, **given))
        elif func in (Tensor.numpy, Tensor.__array__) and place(args[0]) != HOST:
            raise TypeError(f"can't convert a tensor on {place(args[0])} to numpy; copy it to the host first")
        elif func is Tensor.__deepcopy__:  # it makes another storage
            return put(func(*args, **given), place(args[0]))
        elif func is torch.mm and "out_dtype" in given:  # for CUDA only
            return args[0].to(given["out_dtype"]) @ args[1].to(given["out_dtype"])
        asked = given.pop("device", None)
        if asked is not None and torch.device(asked).type == "meta":  # no numbers, so nowhere
            return func(*args, device=asked, **given)
        if asked is not None and func is torch.empty_like and args[0].is_meta:
            given["device"] = HOST
        if func is torch._C._nn.pad_sequence:  # it makes its result by the inputs' real device
            asked = place(args[0][0])
        generator = given.get("generator")
        if asked is not None and generator is not None and generator.device.type != torch.device(asked).type:
            raise DifferentDevicesError(f"expected a generator for {asked}, found {generator.device}")
        if func is torch._C._nn.scaled_dot_product_attention:  # so it does with its mask
            self._operations.making = place(args[0])
        try:
            made = func(*args, **given)
        finally:
            self._operations.making = HOST
        if asked is not None:
            for leaf in tree_leaves(made):
                if isinstance(leaf, Tensor):
                    put(leaf, _indexed(asked))
        return made


def _indexed(device: torch.device | str) -> torch.device:
    """As a tensor names its device: a CUDA device has an index."""
    found = torch.device(device)
    return CUDA if found == torch.device("cuda") else found


def _to(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    copied = kwargs.pop("copy", False)
    kwargs.pop("other", None)
    if args and isinstance(args[0], Tensor):
        device, dtype = place(args[0]), args[0].dtype
    else:
        device, dtype, *_ = torch._C._nn._parse_to(*args, **kwargs)
    cast = tensor if dtype is None else tensor.to(dtype)
    moved = cast if device is None else _moved(cast, device)
    return moved.clone() if copied and moved is tensor else moved


def _moved(tensor: Tensor, where: torch.device) -> Tensor:
    device = _indexed(where)
    if place(tensor) == device:
        return tensor
    moved: Tensor = _Move.apply(tensor, device)
    return moved


@contextmanager
def fake_devices() -> Iterator[list[tuple[int, ...]]]:
    """While active, tags count; gives the shapes of the tensors that were moved so far."""
    with _Operations() as operations, _Functions(operations) as functions:
        yield functions.moves


@contextmanager
def cuda_here() -> Iterator[None]:
    """While active, torch says that one CUDA device is here; with `fake_devices`, tensors can be on it."""
    is_torch_cuda_available()  # remembered from now on as it is
    told = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "mem_get_info": lambda *_: (2**36, 2**36),
        "memory_reserved": lambda *_: 0,
        "memory_allocated": lambda *_: 0,
        "empty_cache": lambda: None,
        "is_current_stream_capturing": lambda: False,
        "get_rng_state": lambda *_: torch.empty(0),
        "set_rng_state": lambda *_: None,
        "get_rng_state_all": list,
        "manual_seed_all": lambda _: None,
    }
    # A build for CUDA would look for the driver when it is asked what streams do.
    no_streams = mock.patch.object(torch.accelerator, "current_accelerator", return_value=None)
    with mock.patch.multiple(torch.cuda, **told), no_streams:
        yield


def spread(model: LanguageModel, first: int) -> None:
    """Put block `first` and all above it on the other device, as accelerate would; call it inside `fake_devices`.

    The final norm goes with the last block, the head too unless it is tied to the embeddings.
    """
    module, row = model.module, model.architecture
    names = {name: ONE for name, _ in module.named_modules()}
    upper = [f"{row.blocks}.{layer}" for layer in range(first, model.n_blocks)] + [row.norm]
    tied = model.head.weight is module.get_input_embeddings().weight
    head = next(name for name, part in module.named_modules() if part is model.head)
    upper += [] if tied else [head]
    places = dict.fromkeys(upper, OTHER)
    for name in names:
        leaf = not any(other.startswith(f"{name}.") or not name for other in names)
        inside = any(name == part or name.startswith(f"{part}.") for part in upper)
        lower = name.startswith(f"{row.blocks}.") and name.count(".") == row.blocks.count(".") + 1
        if not inside and (lower or (leaf and not name.startswith(f"{row.blocks}."))):
            places[name] = ONE
    for name, device in places.items():
        part = module.get_submodule(name)
        for tensor in (*part.parameters(), *part.buffers()):
            put(tensor.data, device)
    attach_align_device_hook_on_blocks(
        module,
        execution_device=places,
        offload=dict.fromkeys(places, False),
        skip_keys=getattr(module, "_skip_keys_device_placement", None),
    )
    module.hf_device_map = {name: str(device) for name, device in places.items()}


def without_moves(module: torch.nn.Module) -> None:
    """Take accelerate's hooks out and leave the weights where they are."""
    for part in module.modules():
        part.__dict__.pop("_hf_hook", None)
        part.__dict__.pop("forward", None)


__all__ = [
    "CUDA", "HOST", "ONE", "OTHER", "DifferentDevicesError", "cuda_here", "fake_devices", "place", "put", "spread",
    "without_moves",
]  # fmt: skip
