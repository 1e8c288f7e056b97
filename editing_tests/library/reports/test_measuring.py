# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from kedit.editors import load_editor
from kedit.editors.base import Tags
from kedit.facts import Fact
from kedit.models.language_model import LanguageModel
from kedit.paths import fixtures_dir
from kedit.reports import measuring
from kedit.reports.cells import CellStore, code_fingerprint
from kedit.reports.measuring import missing_tasks, run_task
from kedit.reports.protocols import PROTOCOLS
from kedit.reports.results import main
from kedit.updates import LowRank, Update
from kedit.worlds.sampling import Sampler
from kedit.worlds.world import World

FOLDER = fixtures_dir() / "models" / "tiny-gpt2"


class Recorder:
    """An editor that changes nothing and remembers what it was asked."""

    name = "recorder"

    def __init__(self, *, batch: bool = True, sequential: bool = True) -> None:
        self.tags = Tags(batch=batch, sequential=sequential)
        self.calls: list[tuple[Fact, ...]] = []
        self.states: list[Any] = []

    def edit(self, model: LanguageModel, facts: Sequence[Fact], state: Any = None) -> tuple[Update, Any]:
        self.calls.append(tuple(facts))
        self.states.append(state)
        name = model.weight_name(0)
        nothing = LowRank(torch.zeros(model.d, 1), torch.zeros(model.f, 1))
        return Update(changes={name: nothing}, base=model.fingerprint([name])), (state or 0) + 1


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return LanguageModel.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return Sampler(World.generate(0))


def test_a_followed_sequence_begins_with_the_same_fact(model: LanguageModel, sampler: Sampler) -> None:
    recorder = Recorder()
    found = PROTOCOLS["first-of"].measure(recorder, model, sampler, 0)
    assert set(found) == set(PROTOCOLS["first-of"].settings)
    sequences = [recorder.calls[i : i + 8] for i in range(0, len(recorder.calls), 8)]
    for same, other in zip(sequences[::2], sequences[1::2], strict=True):
        assert same[0] == other[0]
        assert len({call[0].subject for call in same}) == 1
        assert len({call[0].subject for call in other}) == 8
    assert recorder.states[:8] == [None, 1, 2, 3, 4, 5, 6, 7]
    assert found["homogeneous-2"].em == 0.0  # nothing was edited


def test_a_batch_is_one_call_or_a_sequence(model: LanguageModel, sampler: Sampler) -> None:
    together, one_by_one = Recorder(), Recorder(batch=False)
    for recorder in (together, one_by_one):
        PROTOCOLS["same-8"].measure(recorder, model, sampler, 0)
    assert [len(call) for call in together.calls] == [8] * 3
    assert [len(call) for call in one_by_one.calls] == [1] * 24
    assert len({call[0].subject for call in together.calls}) > 1


def test_an_editor_that_does_nothing_and_a_good_one_are_told_apart(model: LanguageModel, sampler: Sampler) -> None:
    """Pitfall 52: what stands in the table is measured after the edit, under its own name."""
    nothing, good = (
        PROTOCOLS["same-1"].measure(editor, model, sampler, 0)["same-1"] for editor in (Recorder(), load_editor("ft-m"))
    )
    before = PROTOCOLS["same-1"].measure(Recorder(), model, sampler, 0)["same-1"]
    assert nothing.facts == before.facts
    assert (nothing.em, good.em) == (0.0, 1.0)
    assert nothing.es < good.es == 1.0


def test_draws_differ_and_the_unedited_model_stays(model: LanguageModel, sampler: Sampler) -> None:
    before = model.fingerprint()
    recorder = Recorder()
    for draw in (0, 1, 0):
        PROTOCOLS["single"].measure(recorder, model, sampler, draw)
    first, second, again = recorder.calls[:10], recorder.calls[10:20], recorder.calls[20:]
    assert first == again != second
    assert recorder.states == [None] * 30
    assert model.fingerprint() == before


def test_only_what_is_missing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "load_editor", lambda _name: Recorder(sequential=False))
    store = CellStore(tmp_path / "cells.jsonl")
    tasks = missing_tasks(store, ["x"], [FOLDER], world_seed=0, draws=1, figure_model="")
    assert {task.protocol for task in tasks} == {
        "single",
        "distinct-30",
        "same-8",
        "same-12",
        "distinct-8",
        "distinct-12",
    }
    store.append(run_task(tasks[0], code_fingerprint()))
    again = missing_tasks(CellStore(store.path), ["x"], [FOLDER], world_seed=0, draws=1, figure_model="")
    assert again == tasks[1:]
    more = missing_tasks(store, ["x"], [FOLDER], world_seed=0, draws=1, figure_model="tiny-gpt2")
    assert {task.protocol for task in more} - {task.protocol for task in tasks} == {
        f"{kind}-{size}" for kind in ("same", "distinct") for size in (1, 2, 4)
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--editors", "remit", "--models", "tiny-gpt2"], "remit"),
        (["--models", "no-such-model"], "no-such-model: neither one of tiny-gpt2"),
    ],
)
def test_wrong_input_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--cells", str(tmp_path / "c.jsonl"), "--out", str(tmp_path / "r.md")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "r.md").exists()
