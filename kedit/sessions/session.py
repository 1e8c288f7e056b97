# SPDX-License-Identifier: Apache-2.0
"""EditSession: one model, one editor and its state, edited step by step, undone, committed, saved and gone on with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from kedit.editors.base import Editor
from kedit.editors.registry import load_editor
from kedit.facts import Fact
from kedit.models.language_model import LanguageModel
from kedit.models.memories import Memory
from kedit.sessions.errors import SessionError
from kedit.sessions.folders import Manifest, read_manifest
from kedit.sessions.homes import Content, Home, recipe_in
from kedit.sessions.interrupts import uninterrupted
from kedit.sessions.recipes import Recipe, package_of, recipe_of
from kedit.sessions.steps import Entry, Step, sizes_of
from kedit.updates import Snapshot, Update, UpdateError
from kedit.versions import versions

__all__ = ["EditSession"]


class EditSession:
    """Edits of one model by one editor, whose state the session keeps.

    Nobody else may change the model's edited weights meanwhile; `apply`, `undo` and `save` refuse if somebody did.

    Attributes:
        model: the model as it is now, edits applied.
        source: folder, name or id that the model was loaded from, for those who load the session; None if not told.
    """

    def __init__(
        self,
        model: LanguageModel,
        editor: Editor | Recipe | str,
        *,
        settings: Mapping[str, Any] | None = None,
        source: str | None = None,
    ) -> None:
        """Start a session on an unedited model.

        Args:
            model: as it was loaded.
            editor: an editor; a name for `load_editor` with `settings`; or a recipe, followed when first needed.
            settings: for an editor given by name.
            source: see above.

        Raises:
            SessionError: the model is edited already, or settings for an editor that is made already.
            EditorError: no such editor, or settings that do not fit.
        """
        if model.memory is not None or model.fingerprint() != model.origin:
            raise SessionError(
                f"{model.name} was edited before this session; load it anew, or load the session that edited it"
            )
        if settings is not None and not isinstance(editor, str):
            raise SessionError("settings are for an editor given by name; this one has its own")
        self.model = model
        self.source = source
        self._editor: Editor | None = None
        if isinstance(editor, Recipe):
            self._recipe = editor
        elif isinstance(editor, str):
            self._recipe = Recipe(editor, dict(settings or {}))
            self._editor = load_editor(editor, settings)
        else:
            self._recipe, self._editor = recipe_of(editor), editor
        self._steps: list[Step] = []
        self._state: Any = None
        self._base: dict[str, Tensor] = {}
        self._home: Home | None = None
        self._weights = model.fingerprint([])
        self._memory: Memory | None = None

    @property
    def editor(self) -> Editor:
        """The editor; raises SessionError if a loaded session cannot make it again."""
        if self._editor is None:
            self._editor = self._recipe.make()
        return self._editor

    @property
    def history(self) -> tuple[Entry, ...]:
        """What was done and not undone, oldest first."""
        return tuple(step.entry(i + 1) for i, step in enumerate(self._steps))

    @property
    def committed(self) -> int:
        """Number of updates that cannot be undone."""
        return sum(step.snapshot is None for step in self._steps)

    @property
    def base_weights(self) -> Mapping[str, Tensor]:
        """Changed parameter -> its stored tensor before the first edit."""
        return {name: self._base[name] for name in sorted(self._changed())}

    def apply(self, facts: Sequence[Fact]) -> Update:
        """Edit `facts` in one call of the editor and apply the update.

        If anything raises, model and session are as before; an interrupt comes before the update is applied or after.

        Returns:
            The update with its evidence, which the session does not keep.
        """
        self._check_model()
        update, state = self.editor.edit(self.model, tuple(facts), self._state)
        with uninterrupted():
            self._push(update, self._state)
            self._state = state
        return update

    def apply_each(self, facts: Iterable[Fact], *, save_to: str | Path | None = None) -> None:
        """Edit facts one by one, with a progress bar on stderr where that is a terminal.

        If an edit raises, cannot be stored, or is interrupted, those before it stay.

        Args:
            facts: one call of the editor for each.
            save_to: folder to save to after every edit.
        """
        for fact in tqdm(list(facts), desc=self._recipe.name, unit="fact", disable=None):
            self.apply([fact])
            try:
                if save_to is not None:
                    self.save(save_to)
            except SessionError:  # the folder has not got it
                self.undo()
                raise

    def undo(self, n: int = 1) -> tuple[Entry, ...]:
        """Take the last `n` updates back: weights, memory and the editor's state, bit for bit.

        Returns:
            What was undone, oldest first.

        Raises:
            SessionError: fewer than `n` updates can be undone.
        """
        free = len(self._steps) - self.committed
        if not 1 <= n <= free:
            raise SessionError(
                f"{n} updates cannot be undone: {free} of {len(self._steps)} are not committed; ask for 1 to {free}"
                if free
                else f"there is nothing to undo: {self.committed} updates are committed and none came after"
            )
        self._check_model()
        undone = self.history[-n:]
        with uninterrupted():
            for _ in range(n):
                step = self._steps.pop()
                if step.snapshot is not None:
                    step.snapshot.restore(self.model)
                self._state = step.before
            self._weights, self._memory = self.model.fingerprint(self._changed()), self.model.memory
        return undone

    def commit(self) -> None:
        """Make what is done the new ground: snapshots and earlier states are dropped, the history stays."""
        with uninterrupted():
            self._steps = [replace(step, snapshot=None, before=None) for step in self._steps]

    def save(self, path: str | Path) -> None:
        """Write the session to a folder; a kill leaves there what was before, or all of this. See docs/sessions.md.

        Raises:
            SessionError: the folder holds another session, or something cannot be stored, by name.
        """
        self._check_model()
        folder = Path(path).resolve()
        home = self._home if self._home is not None and self._home.folder == folder else Home(folder)
        content = Content(self._recipe, self.model, self.source, tuple(self._steps), self._state, self._weights)
        home.save(content, self._packages())
        self._home = home

    @classmethod
    def load(cls, path: str | Path, model: LanguageModel, editor: Editor | None = None) -> EditSession:
        """Go on with a saved session: its updates are applied to `model`, which then has the same bits as at the save.

        Args:
            path: the folder.
            model: unedited, with the weights the session was made on.
            editor: to go on with; made again from its name and settings when first needed if not given.

        Raises:
            SessionError: no session, a damaged one, one of another model or editor.

        Whatever raises, an interrupt too, leaves the model as before.
        """
        folder = Path(path).resolve()
        manifest, _ = read_manifest(folder)
        manifest.check_origin(model.name, model.origin)
        recipe = recipe_in(manifest)
        if editor is not None:
            given = recipe_of(editor)
            if recipe.built_in or given.built_in:
                recipe.check(given, folder.name)
        session = cls(model, recipe, source=manifest.source)
        session._editor = editor
        session._home, manifest, updates, states = Home.open(folder, session._packages(), model.device)
        try:
            session._replay(manifest, updates, states)
            return session
        except BaseException:
            Snapshot(session._base).restore(model)
            raise

    def _replay(self, manifest: Manifest, updates: Sequence[Update], states: Sequence[Any]) -> None:
        for i, update in enumerate(updates):
            free = i >= manifest.committed
            try:
                with uninterrupted():
                    self._push(update, states[i - manifest.committed] if free else None, manifest.sizes[i])
            except UpdateError as error:
                raise SessionError(f"update {i + 1} of the session cannot be applied: {error}") from error
            if not free:
                self._steps[-1] = replace(self._steps[-1], snapshot=None)
        self._state = states[-1]
        if self._weights != manifest.weights:
            raise SessionError(
                f"the updates lead to other weights ({self._weights[:16]}) than were saved ({manifest.weights[:16]}); "
                f"use what saved it: {dict(manifest.versions)}; this is {versions()}"
            )

    def _push(self, update: Update, before: Any, sizes: Mapping[str, float] | None = None) -> None:
        snapshot = update.apply(self.model)
        try:
            told = sizes_of(self.model, snapshot) if sizes is None else sizes
            weights = self.model.fingerprint({*self._changed(), *update.changes})
        except BaseException:
            snapshot.restore(self.model)
            raise
        self._base = {**snapshot.weights, **self._base}
        self._steps.append(Step(replace(update, evidence=None), told, snapshot, before))
        self._weights, self._memory = weights, self.model.memory

    def _changed(self) -> set[str]:
        return {name for step in self._steps for name in step.update.changes}

    def _check_model(self) -> None:
        if self.model.memory is not self._memory or self.model.fingerprint(self._changed()) != self._weights:
            raise SessionError(
                f"the edited weights or the memory of {self.model.name} were changed outside the session; load the "
                "model anew and the session with it"
            )

    def _packages(self) -> set[str]:
        return {self._recipe.package} | ({package_of(self._editor)} if self._editor is not None else set())
