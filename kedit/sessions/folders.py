# SPDX-License-Identifier: Apache-2.0
"""The folder of a session: a manifest, and files named by their content that the manifest points to.

    session.json                      what belongs to the session now; written last
    updates/NUMBER-DIGEST.safetensors one file an update
    states/DIGEST.json                the editor's state before each update that can be undone, and after the last
    tensors/DIGEST.safetensors        the tensors of the states, each once, however many states hold it

A file never changes once it is written, and the manifest is renamed into its place when all that it names is on disk: a
process killed at any moment leaves the old session or the new one. What no manifest names is removed by the next save.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor

from kedit.files import is_part, write_atomically
from kedit.sessions.codec import Tree, digest_of, to_json
from kedit.sessions.errors import SessionError
from kedit.sessions.tensors import Digests, read_tensors
from kedit.sessions.update_files import tensor_file

__all__ = [
    "MANIFEST",
    "Manifest",
    "Part",
    "checked",
    "fetch_tensor",
    "put_state",
    "put_tensor",
    "put_update",
    "read_manifest",
    "read_state",
    "sweep",
]

MANIFEST = "session.json"
FORMAT = "kedit session 1"
FILES = MappingProxyType(
    {
        "updates": r"\d{6,}-[0-9a-f]{16}\.safetensors",
        "states": r"[0-9a-f]{64}\.json",
        "tensors": r"[0-9a-f]{64}\.safetensors",
    }
)
COPY = "copy the folder again from where it came"


@dataclass(frozen=True)
class Part:
    """A file of a session: its path in the folder, the hash of its bytes, and the tensors it needs by digest."""

    file: str
    digest: str
    tensors: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """What belongs to a session.

    Attributes:
        editor: name of the editor's recipe.
        settings: the encoded settings of the recipe; None if not known.
        model: name of the model, for messages.
        source: folder, name or id the model was loaded from; None if not known.
        dtype: of the weights.
        origin: fingerprint of the unedited model.
        committed: number of updates that cannot be undone.
        updates: the updates, in order.
        sizes: for each update, parameter name -> Frobenius norm of its change.
        states: the state before each update that can be undone, and the one after the last.
        weights: fingerprint of the changed parameters after the last update.
        versions: of the packages that wrote it.
    """

    editor: str
    settings: Tree
    model: str
    source: str | None
    dtype: str
    origin: str
    committed: int
    updates: tuple[Part, ...]
    sizes: tuple[Mapping[str, float], ...]
    states: tuple[Part, ...]
    weights: str
    versions: Mapping[str, str]

    def check_origin(self, name: str, origin: str) -> None:
        """Raises SessionError if the unedited model `name` with fingerprint `origin` is not the session's."""
        if origin != self.origin:
            raise SessionError(
                f"the session was made on {self.model} with fingerprint {self.origin[:16]}, and {name} has "
                f"{origin[:16]}; load the model it was made on" + (f" ({self.source})" if self.source else "")
            )

    def text(self) -> str:
        """The manifest as it is written, with a hash of itself."""
        told = asdict(self)
        return json.dumps({"format": FORMAT, "digest": digest_of(told), **told}, indent=1) + "\n"


def read_manifest(folder: Path) -> tuple[Manifest, str]:
    """The manifest of a session and the hash of its bytes.

    Raises:
        SessionError: no session, a damaged one, or one of another format.
    """
    try:
        data = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise SessionError(f"{folder} is no session: it has no {MANIFEST} that can be read") from error
    try:
        told: dict[str, Any] = json.loads(data)
        found = told.pop("format")
        if found != FORMAT:
            raise SessionError(
                f"{folder / MANIFEST} is of format {found!r}, not {FORMAT!r}; use the kedit that wrote it"
            )
        whole = told.pop("digest") == digest_of(told)
        for name in ("updates", "states"):
            told[name] = tuple(Part(part["file"], part["digest"], tuple(part["tensors"])) for part in told[name])
        manifest = Manifest(**told | {"sizes": tuple(told["sizes"])})
        whole &= len(manifest.updates) == len(manifest.sizes) == manifest.committed + len(manifest.states) - 1
    except SessionError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SessionError(f"{folder / MANIFEST} is damaged ({type(error).__name__}: {error}); {COPY}") from error
    if not whole:
        raise SessionError(f"{folder / MANIFEST} is damaged: it is not as it was written; {COPY}")
    return manifest, hashlib.sha256(data).hexdigest()


def checked(folder: Path, part: Part) -> Path:
    """The path of a file of the session, once its bytes are those that were written.

    Raises:
        SessionError: missing, cut off, changed, or outside the folder.
    """
    path = folder / part.file
    if Path(part.file).parent.as_posix() not in FILES:
        raise SessionError(f"{folder / MANIFEST} names {part.file!r}, which is no file of a session; {COPY}")
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SessionError(f"{path} cannot be read ({error}); {COPY}") from error
    if found != part.digest:
        raise SessionError(f"{path} is damaged: its bytes are not those that were written; {COPY}")
    return path


def read_state(folder: Path, part: Part) -> Tree:
    """The encoded state of a file; raises SessionError as `checked`."""
    return json.loads(checked(folder, part).read_bytes())


def tensor_path(digest: str) -> str:
    """Where a tensor of the states lies in the folder."""
    return f"tensors/{digest}.safetensors"


def fetch_tensor(folder: Path, digest: str) -> Tensor:
    """A tensor of the states.

    Raises:
        SessionError: missing, damaged, or another tensor.
    """
    path = folder / tensor_path(digest)
    tensors, _ = read_tensors(path)
    tensor = tensors.get("tensor")
    if tensor is None or Digests().of(tensor) != digest:
        raise SessionError(f"{path} is damaged: it holds another tensor than its name says; {COPY}")
    return tensor


def _put(folder: Path, file: str, data: Callable[[], bytes]) -> None:
    path = folder / file
    if not path.exists():  # its name says its content
        write_atomically(path, lambda part: part.write_bytes(data()))


def put_tensor(folder: Path, digest: str, tensor: Tensor) -> None:
    """Write a tensor of the states unless it is there."""
    _put(folder, tensor_path(digest), lambda: tensor_file({"tensor": tensor}))


def put_state(folder: Path, tree: Tree, tensors: Iterable[str]) -> Part:
    """Write an encoded state unless it is there; the tensors it needs, by digest, are written before."""
    data = to_json(tree).encode()
    digest = hashlib.sha256(data).hexdigest()
    part = Part(f"states/{digest}.json", digest, tuple(sorted(tensors)))
    _put(folder, part.file, lambda: data)
    return part


def put_update(folder: Path, number: int, data: bytes, tensors: Iterable[str]) -> Part:
    """Write the file of update `number` unless it is there."""
    digest = hashlib.sha256(data).hexdigest()
    part = Part(f"updates/{number:06d}-{digest[:16]}.safetensors", digest, tuple(sorted(tensors)))
    _put(folder, part.file, lambda: data)
    return part


def sweep(folder: Path, manifest: Manifest) -> None:
    """Remove what killed saves and dropped updates left behind; files that no session writes are not touched."""
    parts = (*manifest.updates, *manifest.states)
    kept = {part.file for part in parts} | {tensor_path(digest) for part in parts for digest in part.tensors}
    for name, pattern in FILES.items():
        for path in (folder / name).glob("*"):
            if f"{name}/{path.name}" not in kept and (is_part(path) or re.fullmatch(pattern, path.name)):
                path.unlink(missing_ok=True)
    for path in folder.glob(f".{MANIFEST}.*"):
        if is_part(path):
            path.unlink(missing_ok=True)
