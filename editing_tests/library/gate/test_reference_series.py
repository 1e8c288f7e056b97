# SPDX-License-Identifier: Apache-2.0
"""The stored curves of other editors: their names are those of the gate, and the command that makes them does so."""

from __future__ import annotations

import json

import pytest

from editing_tests.library.gate.examples import MODELS, report
from editing_tests.library.gate.test_report import valid
from kedit.editors import editor_names
from kedit.gate.measurements import FIRST_EDIT_LENGTHS, SAME_SUBJECT_DRAWS, SEQUENCE_CHECKPOINTS
from kedit.gate.reference_series import main, reference_series
from kedit.gate.report import FIRST_EDIT, SAME_SUBJECT, SEQUENCE, read_report
from kedit.gate.report_files import write_reports
from kedit.models.language_model import LanguageModel
from kedit.paths import model_folder, tiny_models


def test_the_stored_curves_are_of_editors_models_and_sizes_that_exist():
    stored = reference_series()
    assert set(stored) == {"memit", "memit-merge"} <= set(editor_names())
    for one in stored.values():
        assert set(one.models) == set(tiny_models())
        assert one.seed == 0
        assert valid(one.as_data())
        for model in one.models:
            assert [data["facts"] for data in one.of(SAME_SUBJECT, model)] == sorted(SAME_SUBJECT_DRAWS)
            assert {data["edits"] for data in one.of(FIRST_EDIT, model)} == set(FIRST_EDIT_LENGTHS)
            (sequence,) = one.of(SEQUENCE, model)
            assert [count for count, _ in sequence["known"]] == list(SEQUENCE_CHECKPOINTS)


@pytest.mark.parametrize("name", tiny_models())
def test_the_stored_curves_are_of_the_models_that_are_there(name):
    origin = LanguageModel.from_pretrained(model_folder(name)).origin
    assert {one.models[name]["fingerprint"] for one in reference_series().values()} == {origin}


def test_the_command_keeps_what_the_figures_compare(tmp_path, capsys):
    write_reports(tmp_path / "one", [report()])
    assert main([str(tmp_path / "one"), "--out", str(tmp_path / "stored.json")]) == 0
    (kept,) = json.loads((tmp_path / "stored.json").read_text())
    assert kept["editor"] == "memit-merge"
    assert {one["name"] for one in kept["series"]} == {SAME_SUBJECT, FIRST_EDIT, SEQUENCE}
    assert len(kept["series"]) == 8 * len(MODELS)
    assert kept["results"] == []
    assert read_report(tmp_path / "one").series[0].data == kept["series"][0]["data"]
    assert main([str(tmp_path / "two")]) == 2
    assert "no report can be read" in capsys.readouterr().err
