# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from kedit.editors import load_editor
from kedit.editors.base import Tags
from kedit.experiments.cells import Cell, CellFolder
from kedit.experiments.experiment import Row
from kedit.experiments.grid import ModelEntry, model_entry
from kedit.experiments.setting import Setting
from kedit.facts import Fact
from kedit.models.language_model import LanguageModel
from kedit.paths import fixtures_dir
from kedit.reports import measuring
from kedit.reports.cells import METRICS
from kedit.reports.cells import Cell as PageCell
from kedit.reports.measuring import cells_of, tasks_for
from kedit.reports.protocols import MEASURES, PROTOCOLS
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
    found = PROTOCOLS["first-of"].evaluations(recorder, model, sampler, 0)
    assert set(found) == {f"{kind}-{done}" for kind in ("homogeneous", "heterogeneous") for done in (2, 8)}
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
        PROTOCOLS["same-8"].evaluations(recorder, model, sampler, 0)
    assert [len(call) for call in together.calls] == [8] * 3
    assert [len(call) for call in one_by_one.calls] == [1] * 24
    assert len({call[0].subject for call in together.calls}) > 1


def test_an_editor_that_does_nothing_and_a_good_one_are_told_apart(model: LanguageModel, sampler: Sampler) -> None:
    """Pitfall 52: what stands in the table is measured after the edit, under its own name."""
    measured = PROTOCOLS["same-1"].evaluations
    nothing, good = (measured(editor, model, sampler, 0)["same-1"] for editor in (Recorder(), load_editor("ft-m")))
    before = measured(Recorder(), model, sampler, 0)["same-1"]
    assert nothing.facts == before.facts
    assert (nothing.em, good.em) == (0.0, 1.0)
    assert nothing.es < good.es == 1.0


def test_draws_differ_and_the_unedited_model_stays(model: LanguageModel, sampler: Sampler) -> None:
    before = model.fingerprint()
    recorder = Recorder()
    for draw in (0, 1, 0):
        PROTOCOLS["single"].evaluations(recorder, model, sampler, draw)
    first, second, again = recorder.calls[:10], recorder.calls[10:20], recorder.calls[20:]
    assert first == again != second
    assert recorder.states == [None] * 30
    assert model.fingerprint() == before


def test_rows_are_the_evaluations(model: LanguageModel, sampler: Sampler) -> None:
    found = PROTOCOLS["same-2"].evaluations(Recorder(), model, sampler, 1)["same-2"]
    rows = MEASURES["same-2"](Setting(model, Recorder(), None, 1), {"world_seed": 0})
    assert {row.arm for row in rows} == {"same-2"}
    expected = {"ES": found.es, "PS": found.ps, "NS": found.ns, "S": found.s, "EM": found.em, "facts": found.n}
    assert {row.metric: row.value for row in rows} == expected


def test_the_grid_has_what_is_shown_and_what_the_editor_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "load_editor", lambda name: Recorder(sequential=name == "again"))
    models = [ModelEntry(name, name, name, "") for name in ("one", "other")]
    tasks = tasks_for(["once", "again"], models, world_seed=0, draws=2, figure_model="other")
    table = {"single", "distinct-30", "same-8", "same-12", "distinct-8", "distinct-12"}
    figure = {f"{kind}-{size}" for kind in ("same", "distinct") for size in (1, 2, 4)}
    more = {"first-of"}, {"sequence", "returning"}

    def protocols(editor: str, model: str) -> set[str]:
        chosen = [task.protocol for task in tasks if (task.editor, task.model.name) == (editor, model)]
        assert len(chosen) == 2 * len(set(chosen))  # draws
        return set(chosen)

    assert protocols("once", "one") == table
    assert protocols("once", "other") == table | figure
    assert protocols("again", "one") == table | more[0]
    assert protocols("again", "other") == table | figure | more[0] | more[1]


def test_the_page_is_made_of_stored_cells(tmp_path: Path) -> None:
    entry = model_entry("tiny-gpt2")
    cells = CellFolder(tmp_path / "cells")
    tasks = tasks_for(["rome"], [entry], world_seed=0, draws=1, figure_model="")
    for task in tasks:
        rows = [
            Row(metric, 0.5, "single" if task.protocol == "single" else "odd")
            for metric in ("ES", "PS", "NS", "S", "EM")
        ]
        cells.put(task, Cell(task.key, (*rows, Row("facts", 10.0, rows[0].arm)), 1.0, {}))
    shown = list(cells_of(tasks, cells))
    assert [cell.setting for cell in shown] == ["odd"] * (len(tasks) - 1) + ["single"]
    assert shown[-1] == PageCell("rome", "tiny-gpt2", "single", 0, 10, dict.fromkeys(METRICS, 0.5))
    asked = ["--editors", "rome", "--models", "tiny-gpt2", "--draws", "1", "--cells", str(tmp_path / "cells")]
    assert main([*asked, "--out", str(tmp_path / "r.md")]) == 0
    assert "| 1 | rome | " + "0.50 | " * 5 + "10 |" in (tmp_path / "r.md").read_text(encoding="utf-8")


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
    assert main([*arguments, "--cells", str(tmp_path / "c"), "--out", str(tmp_path / "r.md")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "r.md").exists()
