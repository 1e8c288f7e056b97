# SPDX-License-Identifier: Apache-2.0
"""Values as JSON and tensors, and back: what an editor's state, an update or a memory may be made of.

That is None, bool, int, float, str, tuples, lists, mappings (dict, MappingProxyType), strided tensors, and frozen
dataclasses of these, defined at the top of a module of kedit or of the editor's own package. Fields of dataclasses that
start with `_` are caches, have defaults, and are not stored. Reading makes nothing else and runs nothing else.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import pkgutil
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import torch
from torch import Tensor

from kedit.sessions.errors import SessionError
from kedit.sessions.tensors import Digests, strides_of, with_strides

__all__ = ["Decoder", "Encoder", "Tree", "digest_of", "to_json"]

Tree: TypeAlias = Any  # what json reads and writes
MEND = "make it a frozen dataclass of plain data and tensors"
OWN = "kedit"


def to_json(tree: Tree) -> str:
    """One text for one tree."""
    return json.dumps(tree, sort_keys=True, allow_nan=False, separators=(",", ":"))


def digest_of(tree: Tree) -> str:
    """Hash of that text."""
    return hashlib.sha256(to_json(tree).encode()).hexdigest()


def _stored_fields(cls: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(cls) if field.init and not field.name.startswith("_")]


def _needed_caches(cls: Any) -> list[str]:
    """Caches without which a record could not be made again."""
    without = dataclasses.MISSING
    caches = (field for field in dataclasses.fields(cls) if field.init and field.name.startswith("_"))
    return [field.name for field in caches if field.default is field.default_factory is without]


def _record(name: str, packages: Collection[str], where: str) -> Any:
    """The frozen dataclass `module:Name`.

    Raises:
        SessionError: it is of another package, not there, or not a frozen dataclass.
    """
    if name.partition(":")[0].split(".")[0] not in {OWN, *packages}:
        raise SessionError(
            f"{where} is a {name}, and only types of kedit and of the editor's package are stored; {MEND} there"
        )
    try:
        found = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SessionError(
            f"{where} is a {name}, which cannot be found ({error}); define it at the top of an importable module"
        ) from error
    if not isinstance(found, type) or not dataclasses.is_dataclass(found):
        raise SessionError(f"{where} is a {name}, which a session cannot store; {MEND}")
    if not found.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise SessionError(f"{where} is a {name}, a dataclass that may change; {MEND}")
    return found


class Encoder:
    """Turns values into trees and collects their tensors.

    Attributes:
        tensors: digest -> tensor of everything encoded so far.
    """

    def __init__(self, packages: Collection[str] = (), digests: Digests | None = None) -> None:
        """Store dataclasses of kedit and of `packages`; `digests` remembers hashes between encoders."""
        self.tensors: dict[str, Tensor] = {}
        self._packages = packages
        self._digests = digests or Digests()

    def encode(self, value: Any, where: str) -> Tree:
        """The tree of `value`; `where` names it in messages.

        Raises:
            SessionError: something in it cannot be stored, by name.
        """
        kind = type(value)
        if value is None or kind in (bool, int, str) or (kind is float and math.isfinite(value)):
            return value
        if kind is float:
            return {"float": str(value)}
        if kind is list or kind is tuple:
            items = [self.encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
            return items if kind is list else {"tuple": items}
        if kind is dict or kind is MappingProxyType:
            pairs = [
                [self.encode(key, f"a key of {where}"), self.encode(item, f"{where}[{key!r}]")]
                for key, item in value.items()
            ]
            return {"dict" if kind is dict else "mapping": pairs}
        if kind is Tensor:
            return self._tensor(value, where)
        name = f"{kind.__module__}:{kind.__qualname__}"
        if not dataclasses.is_dataclass(kind):
            raise SessionError(f"{where} is a {name}, which a session cannot store; {MEND}")
        if _record(name, self._packages, where) is not kind:
            raise SessionError(
                f"{where} is a {name}, but that name leads to another type; define it under its own name"
            )
        if needed := _needed_caches(kind):
            raise SessionError(f"{where}: {needed[0]!r} of {name} is not stored and has no default; give it one")
        fields = {field: self.encode(getattr(value, field), f"{where}.{field}") for field in _stored_fields(kind)}
        return {"record": name, "fields": fields}

    def _tensor(self, tensor: Tensor, where: str) -> Tree:
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.requires_grad:
            raise SessionError(f"{where} is a tensor that cannot be stored; make it dense, real and detached")
        digest = self._digests.of(tensor)
        self.tensors[digest] = tensor
        tree: dict[str, Any] = {"tensor": digest}
        if (strides := strides_of(tensor)) is not None:
            tree["strides"] = strides
        if tensor.device.type != "cpu":
            tree["beside"] = "model"
        return tree


class Decoder:
    """Turns trees back into values; equal records and tensors of several trees become one object, as they were."""

    def __init__(
        self,
        fetch: Callable[[str], Tensor],
        packages: Collection[str] = (),
        *,
        device: torch.device | str = "cpu",
        digests: Digests | None = None,
    ) -> None:
        """Read tensors by digest with `fetch`; those that were not on the CPU go to `device`, where the model is."""
        self._fetch = fetch
        self._packages = packages
        self._device = device
        self._digests = digests or Digests()
        self._made: dict[str, Any] = {}
        self._nearby: Mapping[str, Tensor] = {}

    def decode(self, tree: Tree, where: str, nearby: Mapping[str, Tensor] = MappingProxyType({})) -> Any:
        """The value of a tree; `where` names it in messages, and `nearby` has tensors that need not be fetched.

        Raises:
            SessionError: the tree is none that an encoder writes, or a record or tensor cannot be had.
        """
        self._nearby = nearby
        return self._value(tree, where)

    def _value(self, tree: Tree, where: str) -> Any:
        if tree is None or isinstance(tree, bool | int | float | str):
            return tree
        if isinstance(tree, list):
            return [self._value(item, f"{where}[{i}]") for i, item in enumerate(tree)]
        match tree:
            case {"tuple": [*items]}:
                return tuple(self._value(item, f"{where}[{i}]") for i, item in enumerate(items))
            case {"dict": [*pairs]} | {"mapping": [*pairs]}:
                found = dict(self._pair(pair, where) for pair in pairs)
                return found if "dict" in tree else MappingProxyType(found)
            case {"float": "nan" | "inf" | "-inf" as text}:
                return float(text)
            case {"tensor": str()}:
                return self._once(tree, lambda: self._tensor(tree))
            case {"record": str(name), "fields": dict(fields)}:
                return self._once(tree, lambda: self._record(name, fields, where))
        raise SessionError(f"{where} is nothing that a session writes; the file is damaged or of another version")

    def _once(self, tree: Tree, make: Callable[[], Any]) -> Any:
        key = to_json(tree)
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def _pair(self, pair: Tree, where: str) -> tuple[Any, Any]:
        if not isinstance(pair, list) or len(pair) != 2:
            raise SessionError(f"{where} is no mapping; the file is damaged or of another version")
        key = self._value(pair[0], f"a key of {where}")
        return key, self._value(pair[1], f"{where}[{key!r}]")

    def _tensor(self, tree: Mapping[str, Any]) -> Tensor:
        digest = tree["tensor"]
        stored = self._nearby[digest] if digest in self._nearby else self._fetch(digest)
        device = self._device if tree.get("beside") == "model" else "cpu"
        tensor = with_strides(stored, tree.get("strides"), device)
        self._digests.note(tensor, digest)
        return tensor

    def _record(self, name: str, fields: Mapping[str, Tree], where: str) -> Any:
        cls = _record(name, self._packages, where)
        known = _stored_fields(cls)
        if strange := sorted(set(fields) - set(known)):
            raise SessionError(f"{where}: {name} has no field {strange[0]!r}; it was stored by another version")
        values = {field: self._value(tree, f"{where}.{field}") for field, tree in fields.items()}
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise SessionError(f"{where}: {name} cannot be made ({error}); it was stored by another version") from error
