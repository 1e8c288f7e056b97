# SPDX-License-Identifier: Apache-2.0
"""`kedit edit`, `undo`, `commit`, `log`, `diff`, `evaluate`, `export`: end to end, as JSON, and with wrong input."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch

from editing_tests.library.random_models import random_model
from editing_tests.library.sessions.counting import Counting
from kedit import cli
from kedit.facts import Fact
from kedit.locate_then_edit.solvers import SolveError
from kedit.metrics import evaluate
from kedit.models import LanguageModel
from kedit.sessions import EditSession
from kedit.updates import Update

HERE = "editing_tests.library.sessions.test_session_commands"


class Command:
    """Runs `kedit` in this process; `out` and `err` are what it said last."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        try:
            status = cli.main(arguments)
        except SystemExit as stop:  # argparse
            status = int(stop.code or 0)
        self.out, self.err = self._capsys.readouterr()
        return status

    def json(self, *arguments: str) -> Any:
        assert self(*arguments, "--json") == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def kedit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.chdir(tmp_path)
    random_model("gpt2").save(tmp_path / "model")
    write_facts("facts.json", range(4))
    capsys.readouterr()  # transformers tells how far it has written
    return Command(capsys)


def write_facts(file: str, numbers: Sequence[int], target: str = "Spain") -> None:
    records = [
        {"prompt": "{} lives in", "subject": f"Ada {i}", "target": target, "true": "Peru", "id": f"f{i}"}
        for i in numbers
    ]
    Path(file).write_text(json.dumps(records))


def start(kedit: Command, *more: str, editor: str = "Counting") -> int:
    where = "editing_tests.library.sessions.counting" if editor == "Counting" else HERE
    return kedit("edit", "s", "--model", "model", "--editor", f"{where}:{editor}", "--facts", "facts.json", *more)


def test_a_session_from_start_to_export(kedit: Command, tmp_path: Path) -> None:
    Path("settings.toml").write_text("scale = 0.5\n")
    assert start(kedit, "--editor-config", "settings.toml", "--each") == 0
    assert kedit.out == "edited 4 facts; s has 4 updates\n"
    log = kedit.json("log", "s")
    assert [entry["facts"][0]["id"] for entry in log["entries"]] == ["f0", "f1", "f2", "f3"]
    assert log["entries"][0]["config"]["scale"] == 0.5 and log["model"] == str(tmp_path / "model")
    undone = kedit.json("undo", "s", "2")
    assert [entry["number"] for entry in undone["undone"]] == [3, 4] and undone["updates"] == 2
    assert kedit.json("commit", "s") == {"session": "s", "committed": 2}
    assert kedit("undo", "s") == 2
    assert kedit.err == "kedit: there is nothing to undo: 2 updates are committed and none came after\n"
    again = kedit.json("edit", "s", "--facts", "facts.json", "--each")
    assert (len(again["edited"]), again["already"], again["remaining"], again["updates"]) == (2, 2, 0, 4)
    assert kedit.json("export", "s", "out")["folder"] == "out"
    whole = EditSession(LanguageModel.from_pretrained("model"), Counting(scale=0.5))
    for entry in EditSession.load("s", LanguageModel.from_pretrained("model")).history:
        whole.apply(entry.facts)
    assert LanguageModel.from_pretrained("out").fingerprint() == whole.model.fingerprint()


def test_diff_and_evaluate_tell_what_can_be_measured_otherwise(kedit: Command) -> None:
    assert start(kedit) == 0
    base, session = LanguageModel.from_pretrained("model"), LanguageModel.from_pretrained("model")
    facts = EditSession.load("s", session).history[0].facts
    assert len(facts) == 4
    rows = {row["parameter"]: row for row in kedit.json("diff", "s")["parameters"]}
    assert sorted(rows) == sorted(base.weight_name(layer) for layer in range(3))
    name = base.weight_name(0)
    change = session.parameter(name).detach().double() - base.parameter(name).detach().double()
    assert rows[name]["rank"] == 1
    assert rows[name]["norm"] == pytest.approx(change.norm().item())
    assert rows[name]["relative"] == pytest.approx((change.norm() / base.parameter(name).norm()).item())
    assert rows[name]["changed"] == int((change != 0).sum()) and rows[name]["entries"] == 16 * 24
    told = kedit.json("evaluate", "s")
    for model, when in ((base, "before"), (session, "after")):
        found = evaluate(model, facts, paraphrases=False, neighborhood=False)
        assert told[when] == {"ES": found.es, "PS": None, "NS": None, "EM": found.em}
    assert kedit("evaluate", "s") == 0
    assert "PS: not measured, no fact has paraphrases" in kedit.out


def test_facts_on_one_prompt_are_measured_as_they_are_now(kedit: Command) -> None:
    assert start(kedit) == 0
    write_facts("later.json", [1], target="France")
    assert kedit("edit", "s", "--facts", "later.json") == 0
    told = kedit.json("evaluate", "s")
    assert (told["facts"], told["superseded"]) == (4, 1)


class Noting(Counting):
    """Notes more than plain data."""

    name = "noting"

    def edit(self, model: LanguageModel, facts: Sequence[Fact], state: Any = None) -> tuple[Update, Any]:
        update, after = super().edit(model, facts, state)
        notes = MappingProxyType({(1, 2): math.nan, "ranks": (3, 4), "first": torch.ones(2), "sum": after.total})
        return replace(update, notes=notes), after


def test_the_log_tells_whatever_an_editor_notes(kedit: Command) -> None:
    assert start(kedit, editor="Noting") == 0
    assert kedit("log", "s", "--json") == 0, kedit.err
    (entry,) = json.loads(kedit.out, parse_constant=pytest.fail)["entries"]
    notes = entry["notes"]
    assert (notes["(1, 2)"], notes["ranks"], notes["first"]) == ("nan", [3, 4], "tensor([1., 1.])")
    assert notes["sum"].startswith("tensor(")


def test_a_batch_is_one_call_and_is_done_once(kedit: Command) -> None:
    assert start(kedit) == 0
    assert kedit.json("log", "s")["entries"][0]["facts"][3]["id"] == "f3"
    assert start(kedit) == 0
    assert kedit.out == "edited 0 facts, 4 were edited already; s has 1 update\n"
    write_facts("more.json", range(2, 6))
    assert kedit("edit", "s", "--facts", "more.json") == 2
    assert "2 of 4 facts in more.json are edited already in this session" in kedit.err
    assert kedit.json("edit", "s", "--facts", "more.json", "--each")["updates"] == 3


class Pressed(Counting):
    """Somebody presses Ctrl-C at the third fact, the first time."""

    name = "pressed"

    def edit(self, model: LanguageModel, facts: Sequence[Fact], state: Any = None) -> tuple[Update, Any]:
        if facts[0].id == "f2" and not Path("pressed").exists():
            Path("pressed").touch()
            signal.raise_signal(signal.SIGINT)
        return super().edit(model, facts, state)


def test_an_interrupted_edit_goes_on_where_it_was(kedit: Command) -> None:
    assert start(kedit, "--each", editor="Pressed") == 1
    assert kedit.err == (
        "kedit: interrupted: 2 of 4 facts are edited and saved; give the same command again to go on\n"
    )
    assert [entry["facts"][0]["id"] for entry in kedit.json("log", "s")["entries"]] == ["f0", "f1"]
    assert start(kedit, "--each", editor="Pressed") == 0
    assert kedit.out == "edited 2 facts, 2 were edited already; s has 4 updates\n"
    whole = EditSession(LanguageModel.from_pretrained("model"), Pressed())
    session = EditSession.load("s", LanguageModel.from_pretrained("model"))
    for entry in session.history:
        whole.apply(entry.facts)
    assert session.model.fingerprint() == whole.model.fingerprint()


class Unsolvable(Counting):
    """Has a system without a solution."""

    name = "unsolvable"

    def edit(self, model: LanguageModel, facts: Sequence[Fact], state: Any = None) -> tuple[Update, Any]:
        raise SolveError("no direction is left")


def test_a_system_without_a_solution_is_a_failed_edit(kedit: Command) -> None:
    assert start(kedit, editor="Unsolvable") == 1
    assert kedit.err == "kedit: no direction is left\n"
    assert not Path("s").exists()


def test_what_cannot_be_saved_is_not_told_as_saved(kedit: Command) -> None:
    where = "editing_tests.library.sessions.counting:Stubborn"
    assert kedit("edit", "s", "--model", "model", "--editor", where, "--facts", "facts.json", "--each") == 1
    assert "is a builtins:set" in kedit.err and "(no fact was edited;" in kedit.err
    assert kedit.out == "edited 0 facts; s has 0 updates\n"
    assert not Path("s/session.json").exists()


@pytest.mark.parametrize(("act", "left"), [("undo", 3), ("commit", 4)])
def test_an_interrupt_of_a_save_waits_for_it(
    act: str, left: int, kedit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert start(kedit, "--each") == 0
    write = Path.write_bytes

    def pressing(path: Path, data: bytes) -> int:
        signal.raise_signal(signal.SIGINT)
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", pressing)
    assert kedit(act, "s") == 1
    assert kedit.err == "kedit: interrupted when it was done and saved\n"
    entries = kedit.json("log", "s")["entries"]
    assert [entry["committed"] for entry in entries] == [act == "commit"] * left


def test_an_interrupted_batch_changed_nothing(kedit: Command) -> None:
    write_facts("facts.json", [2])
    assert start(kedit, editor="Pressed") == 1
    assert kedit.err.startswith("kedit: interrupted: no fact was edited; give the same command again")
    assert not Path("s").exists()


def test_a_fact_in_the_middle_that_fails(kedit: Command) -> None:
    records = json.loads(Path("facts.json").read_text())
    records[2]["target"] = "never"
    Path("facts.json").write_text(json.dumps(records))
    assert start(kedit, "--each") == 1
    assert kedit.err == (
        "kedit: field 'target' is never (2 of 4 facts are edited and saved; mend the fact and give the same command "
        "again to go on)\n"
    )
    assert len(kedit.json("log", "s")["entries"]) == 2
    assert start(kedit) == 2  # some of the batch are done


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("edit new --facts facts.json", "new is a new session; give --model"),
        ("edit new --facts facts.json --model model", "new is a new session; give --editor"),
        ("edit new --facts facts.json --model nowhere --editor ft-l", "nowhere: neither one of tiny-gpt2"),
        ("edit new --facts facts.json --model model --editor memitt", "did you mean 'memit'"),
        ("edit new --facts facts.json --model model --editor ft-l", "has no preset for a model with family gpt2"),
        ("edit one.json --facts facts.json --model model --editor ft-l", "one.json is a file; name a folder"),
        ("edit new --facts facts.json --model model --editor grace", "grace edits one fact a call; give --each"),
        ("edit new --facts odd.json --model model --editor ft-l", "field 'subject' holds half a character"),
        ("edit new --facts no.json --model model --editor ft-l", "no.json: cannot be read"),
        ("edit new --facts bad.json --model model --editor ft-l", "bad.json: record 2: field 'subject' is missing"),
        ("edit new --facts facts.json --model model --editor ft-l --editor-config no.toml", "give a TOML file"),
        ("edit s --facts facts.json --editor ft-l", "and not with ft-l {}; go on with that editor"),
        ("edit s --facts facts.json --editor-config settings.toml", "{'scale': 2.0}; go on with that editor"),
        ("edit s --facts facts.json --model tiny-gpt2", "and tiny-gpt2 has"),
        ("edit s --facts facts.json --dtype float16", "is of float32; leave --dtype out"),
        ("undo s 3", "3 updates cannot be undone: 1 of 1 are not committed; ask for 1 to 1"),
        ("undo s x", "argument N: invalid int value"),
        ("log nowhere", "nowhere is no session"),
        ("diff cut", "is damaged"),
        ("evaluate s --facts half.json", "field 'paraphrases' is empty; give prompts"),
        ("export s model", "model is there already; choose another folder"),
        ("log s --loud", "unrecognized arguments: --loud"),
        ("", "the following arguments are required: command"),
    ],
)
def test_wrong_usage_is_one_line_with_the_mend(arguments: str, message: str, kedit: Command) -> None:
    write_facts("one.json", [7])
    where = "editing_tests.library.sessions.counting:Counting"
    assert kedit("edit", "s", "--facts", "one.json", "--model", "model", "--editor", where) == 0
    before = {path: path.read_bytes() for path in Path("s").rglob("*") if path.is_file()}
    good = {"prompt": "{} is", "subject": "Bo", "target": "a", "true": "b"}
    Path("bad.json").write_text(json.dumps([good, {"prompt": "{} is", "target": "a", "true": "b"}]))
    Path("half.json").write_text(json.dumps([good | {"paraphrases": ["Bo was"]}, good | {"subject": "Al"}]))
    Path("odd.json").write_text(json.dumps([good | {"subject": "\ud800"}]))
    Path("settings.toml").write_text("scale = 2.0\n")
    Path("cut").mkdir()
    Path("cut/session.json").write_text('{"format": "kedit session 1"')
    assert kedit(*arguments.split()) == 2
    assert kedit.out == ""
    assert message in kedit.err.splitlines()[-1]
    assert len(kedit.err.splitlines()) == 1 or kedit.err.startswith("usage: ")
    assert {path: path.read_bytes() for path in Path("s").rglob("*") if path.is_file()} == before
    assert not Path("new").exists()


def test_other_types_of_weights_are_remembered(kedit: Command) -> None:
    assert start(kedit, "--dtype", "bfloat16") == 0
    assert start(kedit) == 0
    assert kedit("export", "s", "out") == 0
    assert LanguageModel.from_pretrained("out", dtype=torch.bfloat16).weight(0).dtype == torch.bfloat16
    saved = EditSession.load("s", LanguageModel.from_pretrained("model", dtype=torch.bfloat16))
    assert LanguageModel.from_pretrained("out", dtype=torch.bfloat16).fingerprint() == saved.model.fingerprint()
