# SPDX-License-Identifier: Apache-2.0
"""An update as one safetensors file.

The tensors of its changes and of its memory stand in the file under their digests; the metadata holds the rest as
JSON: kinds of changes, facts, configuration, seed, base, notes, versions. Evidence is left out: editing again gives it
again, and with its penalty `(f, f)` a layer it would be the largest part.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from kedit.files import write_atomically
from kedit.sessions.codec import Decoder, Encoder, Tree, digest_of, to_json
from kedit.sessions.errors import SessionError
from kedit.sessions.tensors import Digests, plain, read_tensors
from kedit.updates import Update
from kedit.versions import versions

__all__ = ["load_update", "read_update", "save_update", "tensor_file", "update_file", "update_tree"]

FORMAT = "kedit update 1"
KEY = "kedit"
COPY = "copy it again from where it came"


def tensor_file(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file; tensors may share storage."""
    stored = {name: plain(tensor).clone() for name, tensor in tensors.items()}
    return safetensors.torch.save(stored, None if metadata is None else dict(metadata))


def update_file(update: Update, encoder: Encoder, elsewhere: Collection[str] = ()) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of an update's file, and the digests of those of its tensors that lie `elsewhere`.

    Raises:
        SessionError: something in the update cannot be stored, by name.
    """
    tree = {
        "format": FORMAT,
        "versions": versions(),
        "update": encoder.encode(replace(update, evidence=None), "update"),
    }
    own = {digest: tensor for digest, tensor in encoder.tensors.items() if digest not in elsewhere}
    # One entry: safetensors writes several in any order, and equal updates are to be equal files.
    return tensor_file(own, {KEY: to_json({"digest": digest_of(tree), **tree})}), tuple(
        sorted(set(encoder.tensors) - set(own))
    )


def update_tree(path: Path) -> tuple[Tree, dict[str, Tensor]]:
    """The encoded update of a file, and the tensors in it.

    Raises:
        SessionError: damaged, or not a file of this format.
    """
    tensors, metadata = read_tensors(path)
    try:
        tree: dict[str, Any] = json.loads(metadata.get(KEY, "{}"))
    except ValueError as error:
        raise SessionError(f"{path.name} is damaged ({error}); {COPY}") from error
    if tree.get("format") != FORMAT:
        raise SessionError(
            f"{path.name} is of format {tree.get('format')!r}, not {FORMAT!r}; save it again with this kedit"
        )
    if tree.pop("digest", "") != digest_of(tree):
        raise SessionError(f"{path.name} is damaged: its update is not as it was written; {COPY}")
    return tree["update"], tensors


def read_update(path: Path, decoder: Decoder, *, hashed: bool = False) -> Update:
    """Read an update; tensors that are not in its file come from the decoder's `fetch`.

    Args:
        path: the file.
        decoder: makes the values.
        hashed: the bytes of the file are known to be those that were written.

    Raises:
        SessionError: the file is damaged, or what is in it is no update.
    """
    tree, own = update_tree(path)
    if not hashed and any(Digests().of(tensor) != digest for digest, tensor in own.items()):
        raise SessionError(f"{path.name} is damaged: a tensor is not as it was written; {COPY}")
    update = decoder.decode(tree, "update", own)
    if not isinstance(update, Update):
        raise SessionError(f"{path.name} holds a {type(update).__name__} and no update; save it again with save_update")
    return update


def save_update(update: Update, path: str | Path, *, packages: Collection[str] = ()) -> None:
    """Write an update to a file of its own, whole or not at all; its evidence is not stored.

    Args:
        update: made by an editor.
        path: the file, by custom `NAME.safetensors`.
        packages: top-level packages, beside kedit, whose frozen dataclasses may be in it.

    Raises:
        SessionError: something in it cannot be stored, by name.
    """
    data, _ = update_file(update, Encoder(packages))
    write_atomically(Path(path), lambda part: part.write_bytes(data))


def load_update(path: str | Path, *, packages: Collection[str] = (), device: str = "cpu") -> Update:
    """Read what `save_update` wrote; `apply` refuses it on other weights than it was made for.

    Raises:
        SessionError: the file is missing, damaged, or holds a type of another package.
    """

    def missing(digest: str) -> Tensor:
        raise SessionError(f"{Path(path).name} lacks the tensor {digest[:12]}; an update of a session is read with it")

    return read_update(Path(path), Decoder(missing, packages, device=device))
