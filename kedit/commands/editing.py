# SPDX-License-Identifier: Apache-2.0
"""`kedit edit`, `kedit undo` and `kedit commit`: commands that change a session."""

from __future__ import annotations

import tomllib
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kedit.commands.answers import Answer, fact_data, fact_line, load_model, load_session, model_of, plural
from kedit.editors.base import EditorError
from kedit.editors.registry import load_editor
from kedit.fact_files import read_facts
from kedit.facts import Fact
from kedit.models.weights import locate_model
from kedit.paths import tiny_models
from kedit.sessions import EditSession, Entry, SessionError
from kedit.sessions.folders import MANIFEST, read_manifest
from kedit.sessions.homes import recipe_in
from kedit.sessions.interrupts import uninterrupted
from kedit.sessions.recipes import Recipe

__all__ = ["commit", "edit", "remaining", "undo"]


def edit(options: Namespace) -> Answer:
    """Edit the facts of a file that the session does not have yet, and save."""
    facts = read_facts(options.facts)
    settings = None if options.editor_config is None else _read_settings(Path(options.editor_config))
    folder = Path(options.session)
    session = _go_on(options, settings) if (folder / MANIFEST).exists() else _start(options, settings or {})
    left = remaining(facts, session.history)
    if left and len(left) < len(facts) and not options.each:
        raise SessionError(
            f"{len(facts) - len(left)} of {plural(len(facts), 'fact')} in {options.facts} are edited already in this "
            "session, so the file is no batch of its own; remove them from it, or give --each"
        )
    if len(left) > 1 and not options.each and not session.editor.tags.batch:
        raise SessionError(f"{session.editor.name} edits one fact a call; give --each")
    before, failure = len(session.history), ""
    try:
        if options.each:
            session.apply_each(left, save_to=folder)
        elif left:
            session.apply(left)
            session.save(folder)
    except KeyboardInterrupt:
        done = len(session.history) - before
        if done:
            _save(session, folder)
        failure = f"interrupted: {_done(done, left, options)}; give the same command again to go on"
    except ValueError as error:  # what kedit and its editors raise for bad facts, settings and diverged edits
        if not options.each:
            raise
        done = len(session.history) - before
        failure = f"{error} ({_done(done, left, options)}; mend the fact and give the same command again to go on)"
    return _told(session, options, facts, left, before, failure)


def _save(session: EditSession, folder: str | Path) -> str:
    """Save, and let an interrupt wait for it; what to say of the interrupt, if there was one."""
    try:
        with uninterrupted():
            session.save(folder)
    except KeyboardInterrupt:
        return "interrupted when it was done and saved"
    return ""


def _done(done: int, left: Sequence[Fact], options: Namespace) -> str:
    n = done if options.each or not done else len(left)
    return f"{n} of {plural(len(left), 'fact')} are edited and saved" if n else "no fact was edited"


def _told(
    session: EditSession,
    options: Namespace,
    facts: Sequence[Fact],
    left: Sequence[Fact],
    before: int,
    failure: str,
) -> Answer:
    new = [fact for entry in session.history[before:] for fact in entry.facts]
    data = {
        "session": options.session,
        "edited": [fact_data(fact) for fact in new],
        "already": len(facts) - len(left),
        "remaining": len(left) - len(new),
        "updates": len(session.history),
    }
    already = f", {len(facts) - len(left)} were edited already" if len(left) < len(facts) else ""
    summary = (
        f"edited {plural(len(new), 'fact')}{already}; {options.session} has {plural(len(session.history), 'update')}"
    )
    return Answer(data, [summary], failure)


def remaining(facts: Iterable[Fact], history: Iterable[Entry]) -> list[Fact]:
    """Facts that the history does not hold, told by prompt and target; what stands twice must be held twice."""
    done = Counter((fact.prompt, fact.target) for entry in history for fact in entry.facts)
    left = []
    for fact in facts:
        if done[fact.prompt, fact.target]:
            done[fact.prompt, fact.target] -= 1
        else:
            left.append(fact)
    return left


def _start(options: Namespace, settings: dict[str, Any]) -> EditSession:
    for name in ("model", "editor"):
        if getattr(options, name) is None:
            raise SessionError(f"{options.session} is a new session; give --{name}")
    if Path(options.session).is_file():
        raise SessionError(f"{options.session} is a file; name a folder for the session")
    load_editor(options.editor, settings)  # a wrong name need not wait for the model
    model = load_model(options.model, options.dtype or "float32")
    by_name = options.model in tiny_models() or not Path(options.model).expanduser().is_dir()
    source = options.model if by_name else str(locate_model(options.model))
    return EditSession(model, options.editor, settings=settings, source=source)


def _go_on(options: Namespace, settings: dict[str, Any] | None) -> EditSession:
    manifest, _ = read_manifest(Path(options.session))
    if options.dtype not in (None, manifest.dtype):
        raise SessionError(f"the session {options.session} is of {manifest.dtype}; leave --dtype out")
    stored = recipe_in(manifest)
    given = Recipe(options.editor or stored.name, stored.settings if settings is None else settings)
    stored.check(given, options.session)
    editor = None if options.editor is None else load_editor(given.name, given.settings)
    return EditSession.load(options.session, model_of(manifest, options), editor)


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise EditorError(f"--editor-config {path}: cannot be read ({error}); give a TOML file") from error


def undo(options: Namespace) -> Answer:
    """Take updates back and save."""
    session = load_session(options)
    undone = session.undo(options.n)
    failure = _save(session, options.session)
    data = {
        "session": options.session,
        "undone": [{"number": entry.number, "facts": [fact_data(fact) for fact in entry.facts]} for entry in undone],
        "updates": len(session.history),
    }
    lines = [f"undid {entry.number}: {fact_line(fact)}" for entry in reversed(undone) for fact in entry.facts]
    return Answer(data, [*lines, f"{options.session} has {plural(len(session.history), 'update')}"], failure)


def commit(options: Namespace) -> Answer:
    """Commit what is done and save."""
    session = load_session(options)
    session.commit()
    failure = _save(session, options.session)
    return Answer(
        {"session": options.session, "committed": session.committed},
        [f"{options.session}: {plural(session.committed, 'update')} committed"],
        failure,
    )
