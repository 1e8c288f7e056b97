# SPDX-License-Identifier: Apache-2.0
"""What an edit must not touch: everything about a model and the process that can be looked at."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kedit.models.fingerprints import REMEMBER_FROM, checksum
from kedit.models.language_model import LanguageModel

__all__ = [
    "CallCounter", "Interruption", "capture", "differences", "digest", "digests", "interrupted", "tensor_elements"
]  # fmt: skip

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks")
_TOKENIZER = ("padding_side", "truncation_side", "model_max_length", "special_tokens_map")


class Interruption(RuntimeError):
    """The failure that `interrupted` injects."""


def capture(model: LanguageModel) -> dict[str, str]:
    """A digest for each aspect: equal captures mean that nothing was left behind."""
    modules = dict(model.module.named_modules())
    parameters = dict(model.module.named_parameters())
    return {
        "weights": model.fingerprint(),
        "buffers": digest(dict(model.module.named_buffers())),
        "hooks": digest({name: [len(getattr(m, hooks)) for hooks in _HOOKS] for name, m in modules.items()}),
        "attributes": digest({name: sorted(vars(m)) for name, m in modules.items()}),
        "requires_grad": digest({name: p.requires_grad for name, p in parameters.items()}),
        "gradients": digest({name: p.grad is None for name, p in parameters.items()}),
        "training mode": digest({name: m.training for name, m in modules.items()}),
        "configuration": digest(repr(model.module.config.to_dict())),
        "tokenizer": digest([repr(getattr(model.tokenizer, name)) for name in _TOKENIZER]),
        "random state of torch": digest([torch.get_rng_state(), *_rng_states_of_cuda()]),
        "random state of Python": digest(repr(random.getstate())),
        "random state of numpy": digest(repr(np.random.get_state(legacy=True))),  # the global one is meant
        "torch settings": repr((torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads())),
    }


def _rng_states_of_cuda() -> list[Tensor]:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The aspects that differ."""
    return [name for name in before if before[name] != after[name]]


def digest(value: object) -> str:
    """Hash of nested plain data, dataclasses and tensors, bit for bit.

    Where the tensors have `REMEMBER_FROM` bytes or more together, a checksum made on its device stands for each; then
    digests can be compared only if the tensors are on devices of one kind.
    """
    return _digest(value, large=_bytes(value) >= REMEMBER_FROM)


def digests(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """`digest` of each tensor, all by hash or all by checksum, as their size together says."""
    large = _bytes(dict(tensors)) >= REMEMBER_FROM
    return {name: _digest(tensor, large=large) for name, tensor in tensors.items()}


def _digest(value: object, *, large: bool) -> str:
    state = hashlib.sha256()
    for path, leaf in _leaves(value, "", set()):
        state.update(path.encode())
        if not isinstance(leaf, Tensor):
            state.update(repr(leaf).encode())
        elif large:
            state.update(repr(checksum([("", leaf)])).encode())
        else:
            state.update(f"{leaf.dtype} {tuple(leaf.shape)}".encode())
            state.update(leaf.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return state.hexdigest()


def _bytes(value: object) -> int:
    tensors = (leaf for _, leaf in _leaves(value, "", set()) if isinstance(leaf, Tensor))
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def tensor_elements(value: object) -> int:
    """Number of numbers in all tensors of nested data, each tensor once: the size of an editor's state."""
    return sum(leaf.numel() for _, leaf in _leaves(value, "", set()) if isinstance(leaf, Tensor))


class CallCounter:
    """Counts module calls, and fails at one of them."""

    def __init__(self, fail_at: int | None) -> None:
        """Fail at call number `fail_at`, counted from 0; never if None."""
        self.calls = 0
        self._fail_at = fail_at

    def __deepcopy__(self, memo: object) -> CallCounter:
        """A copy of the model is counted with the model."""
        return self

    def __call__(self, module: nn.Module, inputs: Sequence[Any]) -> None:
        """A forward pre-hook."""
        self.calls += 1
        if self._fail_at is not None and self.calls > self._fail_at:
            raise Interruption("injected failure")


@contextmanager
def interrupted(model: LanguageModel, fail_at: int | None = None) -> Iterator[CallCounter]:
    """Count the calls of all modules; the call number `fail_at` raises Interruption, and so does every later one."""
    counter = CallCounter(fail_at)
    handles = [module.register_forward_pre_hook(counter) for module in model.module.modules()]
    try:
        yield counter
    finally:
        for handle in handles:
            handle.remove()


def _leaves(value: object, path: str, above: set[int]) -> Iterator[tuple[str, object]]:
    if isinstance(value, Tensor) or value is None or isinstance(value, bool | int | float | str | bytes):
        yield path, value
        return
    if id(value) in above:  # a cycle
        return
    above = above | {id(value)}
    if isinstance(value, Mapping):
        children = [(repr(key), value[key]) for key in value]
    elif isinstance(value, list | tuple):
        children = [(str(index), child) for index, child in enumerate(value)]
    elif isinstance(value, set | frozenset):
        children = [(str(index), child) for index, child in enumerate(sorted(value, key=repr))]
    else:
        slots = [
            name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ()) if hasattr(value, name)
        ]
        named = dict.fromkeys(slots) | dict.fromkeys(getattr(value, "__dict__", {}))
        children = [(name, getattr(value, name)) for name in named]
    yield path, f"{type(value).__name__}[{len(children)}]"
    for name, child in children:
        yield from _leaves(child, f"{path}/{name}", above)
