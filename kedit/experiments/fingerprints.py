# SPDX-License-Identifier: Apache-2.0
"""Hashes of what a measurement depends on: sources, files of facts, and what lies beside a model's weights."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import kedit
from kedit.experiments.experiment import ExperimentError
from kedit.versions import versions

__all__ = ["code_fingerprint", "file_fingerprint", "folder_fingerprint", "own_sources"]

# What a cell's numbers depend on; the rest of the package only shows them.
_MEASURING = (
    "facts.py",
    "fact_files.py",
    "record_files.py",
    "updates.py",
    "models",
    "statistics",
    "locate_then_edit",
    "hypernetworks",
    "editors",
    "metrics",
    "datasets",
    "downstream",
    "worlds",
    "experiments/file_source.py",
    "experiments/protocols",
    "experiments/relation_keys.py",
    "experiments/setting.py",
    "experiments/sources.py",
    "experiments/steps.py",
)
_SOURCES = (".py", ".toml")
_LIBRARIES = ("numpy", "tokenizers", "torch", "transformers")
# Tokenizer, configuration, corpus and card of a model; weights have a fingerprint of their own.
_BESIDE_WEIGHTS = (".json", ".txt", ".model")


@lru_cache(maxsize=64)
def code_fingerprint(*modules: str) -> str:
    """Hash over sources and library versions that a measurement depends on, so that old cells are never mixed with new
    ones.

    Args:
        modules: names of modules or packages that measure and are not among kedit's own, such as that of an editor
            given as `package.module:Attribute`.

    Raises:
        ExperimentError: a module that does not exist.
    """
    package = Path(kedit.__file__).parent
    digest = hashlib.sha256(json.dumps(versions(*_LIBRARIES), sort_keys=True).encode())
    own = own_sources()
    for source in own:
        _add(digest, source.relative_to(package).as_posix(), source)
    for module in sorted(set(modules)):
        for root, source in _of_module(module):
            if source not in own:
                _add(digest, f"{module} {source.relative_to(root).as_posix()}", source)
    return digest.hexdigest()[:16]


def own_sources() -> list[Path]:
    """Sources of kedit that a measurement depends on."""
    package = Path(kedit.__file__).parent
    return sorted({source for name in _MEASURING for source in _sources(package / name)})


def file_fingerprint(path: Path) -> str:
    """Hash over a file's bytes.

    Raises:
        ExperimentError: it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ExperimentError(f"{path} cannot be read ({error.strerror}); name a file that can") from error


def folder_fingerprint(folder: Path) -> str:
    """Hash over what lies beside the weights of a model: what a text becomes, what statistics are made of."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in _BESIDE_WEIGHTS):
        _add(digest, path.name, path)
    return digest.hexdigest()


def _add(digest: hashlib._Hash, name: str, path: Path) -> None:
    content = path.read_bytes()
    digest.update(f"{name} {len(content)} ".encode())
    digest.update(content)


def _sources(path: Path) -> Iterable[Path]:
    return [path] if path.is_file() else (found for found in path.rglob("*.*") if found.suffix in _SOURCES)


def _of_module(name: str) -> list[tuple[Path, Path]]:
    """Folder and source of each file of a module or package."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        raise ExperimentError(f"there is no module {name!r} with a source; name one that can be imported")
    origin = Path(spec.origin)
    found = origin.parent if spec.submodule_search_locations else origin
    return [(origin.parent, source) for source in sorted(_sources(found))]
