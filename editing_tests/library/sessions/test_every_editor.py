# SPDX-License-Identifier: Apache-2.0
"""Sessions of every built-in editor: saved, loaded, gone on with and undone, they are as if they never stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from editing_tests.library.editors.examples import ADA, BORN, PLAYS, SETTINGS, fact, model_of
from editing_tests.library.random_networks import weights_file
from editing_tests.library.sessions.comparing import seen, seen_at_all_depths
from kedit import cli
from kedit.editors import editor_names, load_editor
from kedit.locate_then_edit import history
from kedit.models import LanguageModel
from kedit.sessions import EditSession, SessionError, load_update, save_update
from kedit.sessions.codec import Decoder
from kedit.sessions.tensors import read_tensors

FACTS = (BORN, ADA, PLAYS)
LATER = fact("Eve", "{} lives in", "Spain")


@pytest.fixture(scope="module")
def template() -> LanguageModel:
    return model_of()


def settings_of(name: str, model: LanguageModel, folder: Path) -> dict[str, Any]:
    return {"weights": str(weights_file(model, folder))} if name == "mend" else SETTINGS[name]


@pytest.mark.parametrize("name", editor_names())
def test_a_session_survives_its_folder(name: str, template: LanguageModel, tmp_path: Path) -> None:
    settings = settings_of(name, template, tmp_path)
    whole, stopped = (EditSession(template.copy(), name, settings=settings) for _ in range(2))
    whole.apply_each(FACTS)
    stopped.apply_each(FACTS, save_to=tmp_path / "s")
    assert seen(stopped) == seen(whole)
    loaded = EditSession.load(tmp_path / "s", template.copy())
    assert seen(loaded) == seen(whole)
    assert (loaded.model.fingerprint(), name) == (whole.model.fingerprint(), loaded.history[-1].editor)
    for session in (whole, loaded):
        session.undo()
        session.apply([LATER])
    direct = EditSession(template.copy(), name, settings=settings)
    direct.apply_each((*FACTS[:2], LATER))
    assert seen(loaded) == seen(whole) == seen(direct)
    loaded.save(tmp_path / "s")
    again = EditSession.load(tmp_path / "s", template.copy())
    assert seen_at_all_depths(again) == seen_at_all_depths(direct)
    assert again.model.fingerprint() == template.origin and again.model.memory is None


@pytest.mark.parametrize("name", ["d4s", "alphaedit"])
def test_a_history_survives_its_folder_before_and_after_a_fold(
    name: str, template: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "PENDING", 2)
    facts = (*FACTS, LATER)
    whole = EditSession(template.copy(), name, settings=SETTINGS[name])
    whole.apply_each(facts)
    for stop in (2, 3):
        stopped = EditSession(template.copy(), name, settings=SETTINGS[name])
        stopped.apply_each(facts[:stop], save_to=tmp_path / str(stop))
        loaded = EditSession.load(tmp_path / str(stop), template.copy())
        loaded.apply_each(facts[stop:])
        assert seen(loaded) == seen(whole)
    # One fold in four edits: what lies before and after it is in the folder once.
    whole.save(tmp_path / "whole")
    sizes = [read_size(path) for path in (tmp_path / "whole" / "tensors").glob("*")]
    assert sum(size == template.f**2 for size in sizes) == (2 + 2 + 2 if name == "d4s" else 2)


def read_size(path: Path) -> int:
    (tensor,) = read_tensors(path)[0].values()
    return tensor.numel()


def test_a_state_of_the_sums_of_before_is_refused() -> None:
    fields = {"session": None, "base": {"dict": []}, "cross": {"dict": []}, "gram": {"dict": []}, "count": 2}
    for name in ("kedit.editors.d4s:D4SState", "kedit.editors.alphaedit:AlphaEditState"):
        with pytest.raises(SessionError, match=r"State has no field '\w+'; it was stored by another version"):
            Decoder({}.__getitem__).decode({"record": name, "fields": fields}, "state")


@pytest.mark.parametrize("name", editor_names())
def test_an_update_survives_its_file(name: str, template: LanguageModel, tmp_path: Path) -> None:
    model, twin = template.copy(), template.copy()
    editor, state = load_editor(name, settings_of(name, template, tmp_path)), None
    for one in FACTS[:2]:
        update, state = editor.edit(model, [one], state)
        save_update(update, tmp_path / "update.safetensors")
        found = load_update(tmp_path / "update.safetensors")
        assert (found.facts, found.editor, found.config) == (update.facts, update.editor, update.config)
        assert (found.seed, found.notes, found.evidence) == (update.seed, update.notes, None)
        update.apply(model)
        found.apply(twin)
        assert twin.fingerprint() == model.fingerprint() != template.origin
        assert repr(twin.memory) == repr(model.memory)


@pytest.mark.parametrize("name", editor_names())
def test_the_log_is_json(
    name: str, template: LanguageModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = EditSession(template.copy(), name, settings=settings_of(name, template, tmp_path))
    session.apply([ADA])
    session.save(tmp_path / "s")
    capsys.readouterr()
    assert cli.main(["log", str(tmp_path / "s"), "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["entries"]
    assert entry["editor"] == name
    assert sorted(entry["notes"]) == sorted(session.history[0].notes)
