# SPDX-License-Identifier: Apache-2.0
"""Two devices on a machine that has none: every storage has a tag, and tensors with different tags do not meet.

A function mode answers `tensor.device` with the tag, moves by `.to`, and tags what is made with `device=`; a dispatch
mode sees every operation, those of a backward pass too, refuses to mix tags, and hands them on. As on real
devices, a number without dimensions and indices may be on the host, and `copy_` goes from any device to any.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.hooks import attach_align_device_hook_on_blocks
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kedit.models import LanguageModel

HOST, ONE, OTHER = torch.device("cpu"), torch.device("cpu", 1), torch.device("cpu", 2)

INDEXING = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_", "aten::_unsafe_index")


class DifferentDevicesError(RuntimeError):
    """What a real device would say."""


def place(tensor: Tensor) -> torch.device:
    """The fake device a tensor is on."""
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
    """Refuses operations that mix devices; what they make is where their inputs are."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        indices = list(tree_leaves(args[1])) if name in INDEXING else []
        free = {id(leaf) for leaf in indices if isinstance(leaf, Tensor)}
        free |= {id(leaf) for leaf in given if not leaf.dim()}
        places = {place(leaf) for leaf in given if id(leaf) not in free or place(leaf) != HOST}
        if len(places) > 1 and name != "aten::copy_":
            raise DifferentDevicesError(f"{name} expects all tensors on one device, found {sorted(map(str, places))}")
        made = func(*args, **(kwargs or {}))
        old = {leaf.untyped_storage()._cdata for leaf in given}
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor) and places and leaf.untyped_storage()._cdata not in old:
                put(leaf, next(iter(places)))
        return made


class _Functions(TorchFunctionMode):
    """Answers and moves by tags, and notes the shape of what is moved."""

    def __init__(self) -> None:
        super().__init__()
        self.moves: list[tuple[int, ...]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        if func == Tensor.device.__get__:  # made anew at every look
            return place(args[0])
        if func is Tensor.cpu or func is Tensor.to:
            found = _moved(args[0], HOST) if func is Tensor.cpu else _to(*args, **given)
            if place(found) != place(args[0]):
                self.moves.append(tuple(found.shape))
            return found
        asked = given.pop("device", None)
        if func is torch._C._nn.pad_sequence:  # it makes its result by the inputs' real device
            asked = place(args[0][0])
        made = func(*args, **given)
        if asked is not None:
            for leaf in tree_leaves(made):
                if isinstance(leaf, Tensor):
                    put(leaf, torch.device(asked))
        return made


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


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    if place(tensor) == device:
        return tensor
    moved: Tensor = _Move.apply(tensor, device)
    return moved


@contextmanager
def fake_devices() -> Iterator[list[tuple[int, ...]]]:
    """While active, tags count; gives the shapes of the tensors that were moved so far."""
    with _Operations(), _Functions() as functions:
        yield functions.moves


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


__all__ = ["HOST", "ONE", "OTHER", "DifferentDevicesError", "fake_devices", "place", "put", "spread", "without_moves"]
