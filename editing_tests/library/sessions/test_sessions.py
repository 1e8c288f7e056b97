# SPDX-License-Identifier: Apache-2.0
"""EditSession in memory: apply, undo at any depth, commit, and never half an edit."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor

from editing_tests.library.random_models import random_model
from editing_tests.library.sessions.comparing import counting, fresh, seen, seen_at_all_depths
from editing_tests.library.sessions.counting import Counting, fact
from kedit import updates
from kedit.editors import load_editor
from kedit.facts import Fact, FactError
from kedit.models import LanguageModel
from kedit.paths import model_folder
from kedit.sessions import EditSession, SessionError
from kedit.sessions import session as sessions
from kedit.updates import Replaced, Update, UpdateError
from kedit.worlds.sampling import Sampler
from kedit.worlds.world import World

EDITORS = ("rome", "memit", "d4s", "ft-l")
SHORT: Mapping[str, dict[str, Any]] = {name: {"value": {"steps": 10}} for name in ("rome", "memit", "d4s")} | {
    "ft-l": {"steps": 3}
}


@pytest.fixture(scope="module")
def tiny() -> LanguageModel:
    return LanguageModel.from_pretrained(model_folder("tiny-gpt2"))


@pytest.fixture(scope="module")
def facts() -> list[Fact]:
    return Sampler(World.generate(0)).distinct(4, seed=0)


@pytest.mark.parametrize("name", EDITORS)
def test_undo_at_depth_and_edits_after_it_are_exact(name: str, tiny: LanguageModel, facts: list[Fact]) -> None:
    session = EditSession(tiny.copy(), name, settings=SHORT[name])
    there = [seen(session)]
    for one in facts[:3]:
        session.apply([one])
        there.append(seen(session))
    assert len({state[0] for state in there}) == 4
    session.undo(2)
    assert seen(session) == there[1]
    session.apply([facts[1]])
    assert seen(session) == there[2]
    session.undo(2)
    assert seen(session) == there[0]
    session.apply([facts[3]])
    other = EditSession(tiny.copy(), name, settings=SHORT[name])
    other.apply([facts[3]])
    assert seen(session) == seen(other)


def test_a_memory_is_undone_too() -> None:
    session = counting(memory=True)
    there = [seen(session)]
    for i in range(3):
        session.apply([fact(i)])
        there.append(seen(session))
    assert session.model.memory is not None
    assert seen_at_all_depths(session) == there[::-1]
    assert session.model.memory is None
    assert session.model.fingerprint() == session.model.origin


def test_the_history_tells_what_was_done() -> None:
    session = counting(scale=0.5)
    session.apply([fact(0), fact(1)])
    session.apply([fact(2)])
    session.commit()
    session.apply([fact(3)])
    assert [entry.number for entry in session.history] == [1, 2, 3]
    assert [entry.facts for entry in session.history] == [(fact(0), fact(1)), (fact(2),), (fact(3),)]
    assert [entry.committed for entry in session.history] == [True, True, False]
    last = session.history[-1]
    assert (last.editor, last.config["scale"], last.notes["rank"]) == ("counting", 0.5, 1)
    name = session.model.weight_name(0)
    before = session.model.parameter(name).detach().clone()
    update = session.apply([fact(4)])
    assert update.seed == session.history[-1].seed
    moved = (session.model.parameter(name).detach().double() - before.double()).norm().item()
    assert session.history[-1].sizes[name] == pytest.approx(moved)


def test_base_weights_are_those_before_the_first_edit() -> None:
    session, base = counting(), fresh()
    assert session.base_weights == {}
    for i in range(2):
        session.apply([fact(i)])
    assert sorted(session.base_weights) == sorted(base.weight_name(layer) for layer in range(3))
    for name, stored in session.base_weights.items():
        assert torch.equal(stored, base.parameter(name))
    session.undo(2)
    assert session.base_weights == {}


def test_undo_stops_at_the_ground() -> None:
    session = counting()
    for i in range(3):
        session.apply([fact(i)])
        if i == 1:
            session.commit()
    with pytest.raises(SessionError, match=r"2 updates cannot be undone: 1 of 3 are not committed; ask for 1 to 1"):
        session.undo(2)
    with pytest.raises(SessionError, match="ask for 1 to 1"):
        session.undo(0)
    session.undo()
    with pytest.raises(SessionError, match="nothing to undo: 2 updates are committed"):
        session.undo()


@dataclass(frozen=True)
class Unattachable:
    @property
    def tensors(self) -> Mapping[str, Tensor]:
        return {"none": torch.ones(1)}

    def attach(self, model: LanguageModel) -> Callable[[], None]:
        raise RuntimeError("no room")


class Failing(Counting):
    """Fails in the way its fact asks for."""

    def edit(self, model: LanguageModel, facts: Sequence[Fact], state: Any = None) -> tuple[Update, Any]:
        update, after = super().edit(model, facts, state)
        changes = dict(update.changes)
        if facts[0].target == "Nowhere":
            raise RuntimeError("lost")
        if facts[0].target == "Infinity":
            changes[model.weight_name(0)] = Replaced(torch.full((model.d, model.f), torch.inf))
            return Update(changes, update.base, memory=update.memory), after
        if facts[0].target == "Beside":
            return Update(changes, model.fingerprint(), memory=Unattachable()), after
        return update, after


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ("Nowhere", RuntimeError, "lost"),
        ("Infinity", UpdateError, "not finite"),
        ("Beside", RuntimeError, "no room"),
        ("never", FactError, "never"),
        ("Peru", FactError, "equals the true object"),
    ],
)
@pytest.mark.parametrize("memory", [False, True])
def test_whatever_raises_leaves_model_and_session(
    target: str, error: type[Exception], message: str, memory: bool
) -> None:
    session = EditSession(fresh(), Failing(memory=memory))
    session.apply([fact(0)])
    before, hooks = seen(session), [len(module._forward_hooks) for module in session.model.module.modules()]
    with pytest.raises(error, match=message):
        session.apply([fact(1, target)])
    assert seen(session) == before
    assert [len(module._forward_hooks) for module in session.model.module.modules()] == hooks
    session.apply([fact(2)])
    assert seen_at_all_depths(session)[1] == before


class Interrupted(Counting):
    """Somebody presses Ctrl-C while the second fact is edited, or while its update is applied."""

    where = "edit"

    def edit(self, model: LanguageModel, facts: Sequence[Fact], state: Any = None) -> tuple[Update, Any]:
        update, after = super().edit(model, facts, state)
        if facts[0] == fact(1) and self.where == "edit":
            signal.raise_signal(signal.SIGINT)
        if facts[0] == fact(1) and self.where == "apply":
            changes = {**update.changes, model.weight_name(2): Pressing(model.weight(2).float())}
            return Update(changes, update.base, facts=tuple(facts)), after
        return update, after


@dataclass(frozen=True)
class Pressing:
    weight: Tensor

    def new_weight(self, weight: Tensor) -> Tensor:
        signal.raise_signal(signal.SIGINT)
        return self.weight


@pytest.mark.parametrize(("where", "done"), [("edit", 1), ("apply", 2)])
def test_an_interrupt_falls_between_edits(where: str, done: int) -> None:
    editor = Interrupted()
    editor.where = where
    session = EditSession(fresh(), editor)
    with pytest.raises(KeyboardInterrupt):
        session.apply_each([fact(i) for i in range(4)])
    assert [entry.facts for entry in session.history] == [(fact(i),) for i in range(done)]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    editor.where = ""
    session.apply_each([fact(i) for i in range(done, 4)])
    assert len(seen_at_all_depths(session)) == 5
    assert session.model.fingerprint() == session.model.origin


def test_an_interrupt_of_a_load_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    session = counting(memory=True)
    session.apply_each([fact(0), fact(1)], save_to=tmp_path)
    files = tuple(str(Path(module.__file__ or "")) for module in (sessions, updates))
    model, lines, at = fresh(), 0, 0

    def press(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal lines
        if frame.f_code.co_filename not in files:
            return None
        lines += event == "line"
        if event == "line" and lines == at:
            signal.raise_signal(signal.SIGINT)
        return press

    before = sys.gettrace()
    while lines == at:  # the line that was asked for was there
        lines, at = 0, at + 1
        sys.settrace(press)
        try:
            EditSession.load(tmp_path, model)
        except KeyboardInterrupt:
            sys.settrace(before)
            lines = at
            assert model.fingerprint() == model.origin and model.memory is None, at
        finally:
            sys.settrace(before)
    assert at > 50
    assert model.fingerprint() == session.model.fingerprint()


def test_each_is_a_sequence_of_single_edits() -> None:
    one, other = counting(), counting()
    one.apply_each([fact(i) for i in range(3)])
    for i in range(3):
        other.apply([fact(i)])
    assert seen_at_all_depths(one) == seen_at_all_depths(other)


def test_an_edited_model_starts_no_session() -> None:
    model = fresh()
    EditSession(model, Counting()).apply([fact(0)])
    with pytest.raises(SessionError, match="edited before this session; load it anew"):
        EditSession(model, Counting())


def test_changes_by_others_are_seen() -> None:
    session = counting()
    session.apply([fact(0)])
    with torch.no_grad():
        session.model.parameter(session.model.weight_name(1)).add_(1e-3)
    for act in (lambda: session.apply([fact(1)]), session.undo):
        with pytest.raises(SessionError, match="changed outside the session"):
            act()


def test_editors_by_name_have_settings_of_their_own() -> None:
    session = EditSession(fresh(), "editing_tests.library.sessions.counting:Counting", settings={"scale": 0.3})
    assert session.editor.scale == 0.3  # type: ignore[attr-defined]
    with pytest.raises(SessionError, match="settings are for an editor given by name"):
        EditSession(fresh(), Counting(), settings={})


def test_the_session_keeps_no_evidence(tiny: LanguageModel, facts: list[Fact]) -> None:
    session = EditSession(tiny.copy(), load_editor("memit", SHORT["memit"]))
    assert session.apply(facts[:2]).evidence is not None
    assert session._steps[0].update.evidence is None


@pytest.mark.parametrize("family", ["gptj", "llama"])
def test_other_families_and_types(family: str) -> None:
    model = random_model(family, dtype=torch.bfloat16)
    session = EditSession(model, Counting())
    there = [seen(session)]
    for i in range(2):
        session.apply([fact(i)])
        there.append(seen(session))
    assert seen_at_all_depths(session) == there[::-1]
