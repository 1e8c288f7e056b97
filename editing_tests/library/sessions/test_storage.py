# SPDX-License-Identifier: Apache-2.0
"""A session that was saved goes on as if it never stopped; what is not whole, or not its own, is refused by name."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from editing_tests.library.random_models import random_model
from editing_tests.library.sessions.comparing import counting, fresh, loaded, seen, seen_at_all_depths
from editing_tests.library.sessions.counting import Counting, Stubborn, fact, make_counting
from kedit import files
from kedit.editors import load_editor
from kedit.facts import Fact
from kedit.models import LanguageModel
from kedit.paths import model_folder
from kedit.sessions import EditSession, SessionError, homes, load_update, read_history, save_update
from kedit.sessions.codec import to_json
from kedit.updates import LowRank, Update, UpdateError
from kedit.worlds.sampling import Sampler
from kedit.worlds.world import World

SHORT: Mapping[str, dict[str, Any]] = {
    "memit": {"value": {"steps": 10}},
    "d4s": {"value": {"steps": 10}},
    "ft-l": {"steps": 3},
}


def tiny() -> LanguageModel:
    return LanguageModel.from_pretrained(model_folder("tiny-gpt2"))


def listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def rewrite(folder: Path, change: dict[str, Any]) -> None:
    """Change a manifest and its hash of itself, as somebody would who means to."""
    told = json.loads((folder / "session.json").read_text()) | change
    rest = {name: value for name, value in told.items() if name not in ("format", "digest")}
    told["digest"] = hashlib.sha256(to_json(rest).encode()).hexdigest()
    (folder / "session.json").write_text(json.dumps(told))


@pytest.mark.parametrize("name", sorted(SHORT))
def test_resumed_equals_uninterrupted(name: str, tmp_path: Path) -> None:
    facts = Sampler(World.generate(0)).distinct(3, seed=1)
    whole = EditSession(tiny(), name, settings=SHORT[name])
    for one in facts:
        whole.apply([one])
    EditSession(tiny(), name, settings=SHORT[name]).save(tmp_path)
    for one in facts:  # a new model, session and editor for each edit, as after a kill
        session = loaded(tmp_path, tiny)
        session.apply([one])
        session.save(tmp_path)
    assert seen(loaded(tmp_path, tiny)) == seen(whole)
    assert seen_at_all_depths(loaded(tmp_path, tiny)) == seen_at_all_depths(whole)


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("committed", [0, 2, 3])
def test_undo_after_a_load_works_at_any_depth(memory: bool, committed: int, tmp_path: Path) -> None:
    session = counting(memory=memory)
    for i in range(3):
        if i == committed:
            session.commit()
        session.apply([fact(i), fact(10 + i)])
    if committed == 3:
        session.commit()
    session.save(tmp_path / "s")
    again = loaded(tmp_path / "s")
    assert again.committed == committed
    assert seen_at_all_depths(again) == seen_at_all_depths(session)
    with pytest.raises(SessionError, match="nothing to undo"):
        again.undo()
    again.apply([fact(5)])
    session.apply([fact(5)])
    assert seen(again) == seen(session)


def test_edits_after_undo_and_a_load_are_fresh_edits(tmp_path: Path) -> None:
    session = counting()
    session.apply([fact(0)])
    session.apply([fact(1)])
    session.save(tmp_path)
    again = loaded(tmp_path)
    again.undo(2)
    again.save(tmp_path)
    again = loaded(tmp_path)
    again.apply([fact(2)])
    other = counting()
    other.apply([fact(2)])
    assert seen(again) == seen(other)
    again.save(tmp_path)
    assert len(listing(tmp_path / "updates")) == 1


def test_tensors_are_stored_once_and_updates_are_never_rewritten(tmp_path: Path) -> None:
    session = counting()
    for i in range(3):
        session.apply([fact(i)])
    session.save(tmp_path)
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in listing(tmp_path)}
    # One moment and one base for all states, and the sums after each edit; the updates refer to bases and sums.
    assert len([name for name in before if name.startswith("tensors/")]) == 2 + 3
    session.apply([fact(3)])
    session.save(tmp_path)
    again = loaded(tmp_path)
    again.apply([fact(4)])
    again.save(tmp_path)
    after = {name: (tmp_path / name).stat().st_mtime_ns for name in listing(tmp_path)}
    assert [name for name in before if after.get(name) != before[name]] == ["session.json"]
    again.commit()
    again.save(tmp_path)
    assert len(listing(tmp_path / "states")) == 1
    assert len(listing(tmp_path / "updates")) == 5
    assert seen(loaded(tmp_path)) == seen(again)


def test_a_session_may_move_to_another_folder(tmp_path: Path) -> None:
    session = counting()
    for i in range(3):
        session.apply([fact(i)])
        session.save(tmp_path / "a")
    session.save(tmp_path / "b")
    session.undo()
    session.save(tmp_path / "b")
    assert len(loaded(tmp_path / "a").history) == 3
    assert seen(loaded(tmp_path / "b")) == seen(session)


def test_the_session_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    session = counting()
    session.apply([fact(0)])
    session.save(tmp_path)
    with pytest.raises(SessionError, match="holds a session that this one does not go on from; load it"):
        counting().save(tmp_path)
    other = loaded(tmp_path)
    other.apply([fact(1)])
    other.save(tmp_path)
    with pytest.raises(SessionError, match="does not go on from"):
        session.save(tmp_path)
    assert seen(loaded(tmp_path)) == seen(other)


def test_files_of_others_stay(tmp_path: Path) -> None:
    for name in ("notes.txt", "tensors/mine.safetensors", "states/old.json", ".hidden.1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    (tmp_path / "tensors" / ("0" * 64 + ".safetensors")).write_text("left behind")
    (tmp_path / "tensors" / f".x.safetensors.{'0' * 32}").write_text("left behind")
    session = counting()
    session.save(tmp_path)
    assert {"notes.txt", "tensors/mine.safetensors", "states/old.json", ".hidden.1"} < set(listing(tmp_path))
    assert not [name for name in listing(tmp_path) if "0" * 32 in name]


def test_another_base_is_refused_by_name(tmp_path: Path) -> None:
    session = EditSession(fresh(), Counting(), source="here/model")
    session.apply([fact(0)])
    session.save(tmp_path)
    other = random_model("gpt2", seed=1)
    message = f"on random gpt2 with fingerprint {session.model.origin[:16]}, and random gpt2 has {other.origin[:16]}"
    with pytest.raises(SessionError, match=rf"{message}; load the model it was made on \(here/model\)"):
        EditSession.load(tmp_path, other)
    with pytest.raises(SessionError, match="edited before this session"):
        EditSession.load(tmp_path, session.model)


@pytest.mark.parametrize("damage", ["cut", "flip", "missing", "empty"])
@pytest.mark.parametrize("kind", ["session.json", "updates", "states", "tensors"])
def test_damaged_files_are_refused_by_name(kind: str, damage: str, tmp_path: Path) -> None:
    session = counting()
    for i in range(2):
        session.apply([fact(i)])
    session.save(tmp_path)
    name = next(name for name in listing(tmp_path) if name.startswith(kind))
    path = tmp_path / name
    data = path.read_bytes()
    middle = len(data) // 2
    {
        "cut": lambda: path.write_bytes(data[: len(data) * 2 // 3]),
        "flip": lambda: path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]),
        "missing": path.unlink,
        "empty": lambda: path.write_bytes(b""),
    }[damage]()
    model = fresh()
    with pytest.raises(SessionError, match=re.escape(path.name)):
        EditSession.load(tmp_path, model)
    assert model.fingerprint() == model.origin and model.memory is None


def test_one_bit_anywhere_is_seen(tmp_path: Path) -> None:
    session = counting(memory=True)
    session.apply([fact(0)])
    session.save(tmp_path)
    for name in listing(tmp_path):
        data = (tmp_path / name).read_bytes()
        for place in (0, len(data) // 3, len(data) // 2, len(data) - 2):
            (tmp_path / name).write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            with pytest.raises(SessionError, match=re.escape(Path(name).name)):
                loaded(tmp_path)
        (tmp_path / name).write_bytes(data)
    assert seen(loaded(tmp_path)) == seen(session)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "kedit session 0"}, "is of format 'kedit session 0', not 'kedit session 1'"),
        ({"committed": 1}, "it is not as it was written"),
        ({"states": []}, "it is not as it was written"),
        ({"surprise": 1}, "is damaged"),
        ({"weights": "0" * 64}, "lead to other weights .* use what saved it: .*torch"),
    ],
)
def test_manifests_that_do_not_fit_are_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    session = counting(memory=True)
    session.apply([fact(0)])
    session.save(tmp_path)
    rewrite(tmp_path, change)
    model = fresh()
    with pytest.raises(SessionError, match=message):
        EditSession.load(tmp_path, model)
    assert model.fingerprint() == model.origin and model.memory is None


@pytest.mark.parametrize("file", ["../outside.safetensors", "/etc/passwd", "updates/../../x"])
def test_a_manifest_leads_nowhere_else(file: str, tmp_path: Path) -> None:
    session = counting()
    session.apply([fact(0)])
    session.save(tmp_path)
    (part,) = json.loads((tmp_path / "session.json").read_text())["updates"]
    rewrite(tmp_path, {"updates": [part | {"file": file}]})
    with pytest.raises(SessionError, match="no file of a session"):
        loaded(tmp_path)


def test_no_session_is_told(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match=r"is no session: it has no session\.json"):
        loaded(tmp_path / "nothing")


def test_what_cannot_be_stored_leaves_the_old_session(tmp_path: Path) -> None:
    session = EditSession(fresh(), Stubborn())
    session.save(tmp_path)
    before = listing(tmp_path)
    session.apply([fact(0)])
    with pytest.raises(SessionError, match=r"the editor's state\['open'\] is a builtins:set"):
        session.save(tmp_path)
    assert [name for name in listing(tmp_path) if name in before] == before
    assert loaded(tmp_path).history == ()


def test_editors_are_made_again_from_name_and_settings(tmp_path: Path) -> None:
    given = {"steps": 7}
    made: dict[str, Callable[[], EditSession]] = {
        "name": lambda: EditSession(fresh(), "ft-l", settings=given),
        "object": lambda: EditSession(fresh(), load_editor("ft-l", given)),
        "foreign": lambda: counting(scale=0.7),
    }
    for name, make in made.items():
        make().save(tmp_path / name)
        editor = loaded(tmp_path / name).editor
        assert editor._given == (given if name != "foreign" else {"scale": 0.7, "memory": False})  # type: ignore[attr-defined]


def test_functions_named_in_a_file_are_not_called(tmp_path: Path) -> None:
    session = EditSession(fresh(), f"{make_counting.__module__}:make_counting", settings={"scale": 0.2})
    session.apply([fact(0)])
    session.save(tmp_path)
    again = loaded(tmp_path)
    assert len(again.history) == 1
    with pytest.raises(
        SessionError, match=r"is not called by a load; .* pass it: EditSession.load\(path, model, editor"
    ):
        again.apply([fact(1)])
    again = EditSession.load(tmp_path, fresh(), make_counting(0.2))
    again.apply([fact(1)])


def test_another_editor_does_not_go_on(tmp_path: Path) -> None:
    EditSession(fresh(), "ft-l", settings={"steps": 7}).save(tmp_path)
    for other in (load_editor("ft-l"), load_editor("rome"), Counting()):
        with pytest.raises(SessionError, match=r"was made with ft-l {'steps': 7} and not with"):
            EditSession.load(tmp_path, fresh(), other)
    EditSession.load(tmp_path, fresh(), load_editor("ft-l", {"steps": 7}))


def test_the_history_can_be_read_without_a_model(tmp_path: Path) -> None:
    session = counting()
    session.apply([fact(0), fact(1)])
    session.commit()
    session.apply([fact(2)])
    session.save(tmp_path)
    manifest, history = read_history(tmp_path)
    assert repr(history) == repr(session.history)
    assert manifest.origin == session.model.origin


def test_of_two_that_save_at_once_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counting().save(tmp_path)
    first, second = loaded(tmp_path), loaded(tmp_path)
    first.apply([fact(0)])
    second.apply([fact(1)])
    put = homes.put_update

    def meanwhile(*arguments: Any) -> Any:
        part = put(*arguments)
        monkeypatch.setattr(homes, "put_update", put)
        first.save(tmp_path)
        return part

    monkeypatch.setattr(homes, "put_update", meanwhile)
    with pytest.raises(SessionError, match="does not go on from"):
        second.save(tmp_path)
    assert seen(loaded(tmp_path)) == seen(first)


@dataclass(frozen=True)
class Forgetful:
    """Its cache has no default, so that it cannot be made without it."""

    size: int
    _cache: tuple[int, ...]


class Forgetting(Counting):
    def edit(self, model: LanguageModel, facts: Sequence[Fact], state: Any = None) -> tuple[Update, Any]:
        return super().edit(model, facts)[0], Forgetful(1, (2,))


def test_what_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    session = EditSession(fresh(), Forgetting())
    session.apply([fact(0)])
    with pytest.raises(SessionError, match=r"'_cache' of .*:Forgetful is not stored and has no default; give it one"):
        session.save(tmp_path)
    assert not (tmp_path / "session.json").exists()


def test_one_bit_of_an_update_alone_is_seen(tmp_path: Path) -> None:
    update, _ = Counting(memory=True).edit(fresh(), [fact(0)])
    path = tmp_path / "update.safetensors"
    save_update(update, path, packages={"editing_tests"})
    data = path.read_bytes()
    for place in range(0, len(data), len(data) // 97):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(SessionError, match=r"update\.safetensors"):
            load_update(path, packages={"editing_tests"})


@pytest.mark.parametrize("memory", [False, True])
def test_an_update_alone(memory: bool, tmp_path: Path) -> None:
    model, twin = fresh(), fresh()
    update, _ = Counting(memory=memory).edit(model, [fact(0)])
    path = tmp_path / "update.safetensors"
    save_update(update, path, packages={"editing_tests"})
    again = load_update(path, packages={"editing_tests"})
    assert (again.facts, again.editor, again.seed, dict(again.config)) == (
        update.facts,
        update.editor,
        update.seed,
        dict(update.config),
    )
    assert listing(tmp_path) == ["update.safetensors"]
    update.apply(model)
    again.apply(twin)
    assert twin.fingerprint() == model.fingerprint()
    with pytest.raises(UpdateError, match="made for other weights"):
        again.apply(random_model("gpt2", seed=1))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(SessionError, match=r"update.safetensors is damaged"):
        load_update(path, packages={"editing_tests"})


def test_factors_that_share_storage_are_stored_apart(tmp_path: Path) -> None:
    both = torch.arange(12.0).view(4, 3)
    update, _ = Counting().edit(fresh(), [fact(0)])
    changes = {"a": LowRank(both[:2], both[2:]), "b": LowRank(both, both.T)}
    path = tmp_path / "u.safetensors"
    save_update(type(update)(changes, "base"), path)
    found = load_update(path).changes["b"]
    assert isinstance(found, LowRank) and torch.equal(found.left, both) and torch.equal(found.right, both.T)
    with pytest.raises(SessionError, match="only types of kedit"):
        save_update(
            type(update)(changes, "base", memory=Counting(memory=True).edit(fresh(), [fact(0)])[0].memory), path
        )


def test_files_reach_the_disk_before_their_names_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    flush, rename = os.fsync, os.replace

    def see_flush(descriptor: int) -> None:
        order.append("flush " + ("folder" if os.fstat(descriptor).st_mode & 0o040000 else "file"))
        flush(descriptor)

    def see_rename(source: Any, target: Any) -> None:
        order.append(f"rename {Path(target).name}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", see_flush)
    monkeypatch.setattr(os, "replace", see_rename)
    session = counting()
    session.apply([fact(0)])
    session.save(tmp_path)
    assert order[-3:] == ["flush file", "rename session.json", "flush folder"]
    assert len(order) % 3 == 0 and len(order) > 12
    for i in range(0, len(order), 3):
        assert order[i] == "flush file" and order[i + 1].startswith("rename") and order[i + 2] == "flush folder"
    assert files.is_part(tmp_path / f".session.json.{'a' * 32}") and not files.is_part(tmp_path / ".session.json.swp")
