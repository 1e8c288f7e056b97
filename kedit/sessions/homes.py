# SPDX-License-Identifier: Apache-2.0
"""Where a session is stored: writes what is not there yet, and reads it back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from kedit.files import write_atomically
from kedit.models.language_model import LanguageModel
from kedit.sessions.codec import Decoder, Encoder
from kedit.sessions.errors import SessionError
from kedit.sessions.folders import (
    MANIFEST,
    Manifest,
    Part,
    checked,
    fetch_tensor,
    put_state,
    put_tensor,
    put_update,
    read_manifest,
    read_state,
    sweep,
)
from kedit.sessions.interrupts import uninterrupted
from kedit.sessions.recipes import Recipe
from kedit.sessions.steps import Entry, Step
from kedit.sessions.tensors import Digests
from kedit.sessions.update_files import read_update, update_file, update_tree
from kedit.updates import Update
from kedit.versions import versions

__all__ = ["Content", "Home", "read_history", "recipe_in"]


@dataclass(frozen=True)
class Content:
    """What a session consists of: its steps, the editor's state after the last, and what `Manifest` tells of it."""

    recipe: Recipe
    model: LanguageModel
    source: str | None
    steps: Sequence[Step]
    state: Any
    weights: str


class Home:
    """A folder that holds one session, and what of it is on disk already."""

    def __init__(self, folder: Path) -> None:
        """A folder for a new session.

        Raises:
            SessionError: there is a session already.
        """
        self.folder = folder
        self._written = ""
        self._digests = Digests()
        # By identity of the object, which is kept so that its id stays its own.
        self._states: dict[int, tuple[Any, Part]] = {}
        self._updates: dict[int, tuple[Update, Part]] = {}
        self._refuse_others()

    def _refuse_others(self) -> None:
        """Raises SessionError if the manifest is not the one that this object wrote or read last."""
        there = read_manifest(self.folder)[1] if (self.folder / MANIFEST).exists() else ""
        if there != self._written:
            raise SessionError(
                f"{self.folder} holds a session that this one does not go on from; load it with EditSession.load, or "
                "save to another folder"
            )

    def save(self, content: Content, packages: Collection[str]) -> None:
        """Write what is new, the manifest last, and then remove what nothing needs any more.

        Raises:
            SessionError: another session is in the folder, or something cannot be stored, by name.
        """
        self._refuse_others()
        steps, model, recipe = content.steps, content.model, content.recipe
        free = [step.before for step in steps if step.snapshot is not None]
        states = [(state, self._put_state(state, packages)) for state in (*free, content.state)]
        shared = {digest for _, part in states for digest in part.tensors}
        updates = [
            (step.update, self._put_update(i + 1, step.update, packages, shared)) for i, step in enumerate(steps)
        ]
        told = None if recipe.settings is None else dict(recipe.settings)
        manifest = Manifest(
            editor=recipe.name,
            settings=Encoder(packages).encode(told, "the editor's settings"),
            model=model.name,
            source=content.source,
            dtype=model.dtype,
            origin=model.origin,
            committed=len(steps) - len(free),
            updates=tuple(part for _, part in updates),
            sizes=tuple(step.sizes for step in steps),
            states=tuple(part for _, part in states),
            weights=content.weights,
            versions=versions(),
        )
        with uninterrupted():
            self._refuse_others()  # one that saved meanwhile has swept away what this one wrote
            write_atomically(self.folder / MANIFEST, lambda part: part.write_bytes(manifest.text().encode()))
            self._seen(states, updates)
        sweep(self.folder, manifest)

    def _seen(self, states: Sequence[tuple[Any, Part]], updates: Sequence[tuple[Update, Part]]) -> None:
        self._written = read_manifest(self.folder)[1]
        self._states = {id(state): (state, part) for state, part in states}
        self._updates = {id(update): (update, part) for update, part in updates}
        self._digests.prune()

    def _put_state(self, state: Any, packages: Collection[str]) -> Part:
        if id(state) in self._states:
            return self._states[id(state)][1]
        encoder = Encoder(packages, self._digests)
        tree = encoder.encode(state, "the editor's state")
        for digest, tensor in encoder.tensors.items():
            put_tensor(self.folder, digest, tensor)
        return put_state(self.folder, tree, encoder.tensors)

    def _put_update(self, number: int, update: Update, packages: Collection[str], shared: Collection[str]) -> Part:
        if id(update) in self._updates:
            return self._updates[id(update)][1]
        data, elsewhere = update_file(update, Encoder(packages, self._digests), shared)
        return put_update(self.folder, number, data, elsewhere)

    @classmethod
    def open(
        cls, folder: Path, packages: Collection[str], device: torch.device
    ) -> tuple[Home, Manifest, list[Update], list[Any]]:
        """A stored session: its home, manifest, updates and states.

        Raises:
            SessionError: a file is missing or damaged, or holds a type of another package.
        """
        manifest, _ = read_manifest(folder)
        home = cls.__new__(cls)
        home.folder, home._digests = folder, Digests()
        decoder = Decoder(partial(fetch_tensor, folder), packages, device=device, digests=home._digests)
        updates = [read_update(checked(folder, part), decoder, hashed=True) for part in manifest.updates]
        states = [decoder.decode(read_state(folder, part), "the editor's state") for part in manifest.states]
        home._seen(list(zip(states, manifest.states, strict=True)), list(zip(updates, manifest.updates, strict=True)))
        return home, manifest, updates, states


def recipe_in(manifest: Manifest) -> Recipe:
    """The recipe of the editor a session was made with."""
    package = Recipe(manifest.editor, None).package
    return Recipe(manifest.editor, Decoder(_no_tensor, {package}).decode(manifest.settings, "the editor's settings"))


def _no_tensor(digest: str) -> torch.Tensor:
    raise SessionError(f"a tensor ({digest[:12]}) stands where plain data is expected; the file is damaged")


def read_history(folder: str | Path) -> tuple[Manifest, tuple[Entry, ...]]:
    """The manifest and the history of a stored session, without a model.

    Raises:
        SessionError: no session, or a damaged one.
    """
    where = Path(folder)
    manifest, _ = read_manifest(where)
    decoder = Decoder(partial(fetch_tensor, where), {Recipe(manifest.editor, None).package})
    entries = []
    for i, part in enumerate(manifest.updates):
        tree, own = update_tree(checked(where, part))
        told = {name: tree["fields"][name] for name in ("facts", "editor", "config", "seed", "notes")}
        values = {name: decoder.decode(field, f"update.{name}", own) for name, field in told.items()}
        entries.append(Entry(i + 1, committed=i < manifest.committed, sizes=manifest.sizes[i], **values))
    return manifest, tuple(entries)
