# SPDX-License-Identifier: Apache-2.0
"""report.json: its published schema, reading it back, and the same content whatever the number of workers."""

from __future__ import annotations

import json
import math
import re
from importlib import resources
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from editing_tests.library.gate.counts import PROPERTIES as COUNT
from editing_tests.library.gate.examples import SAME, report, row, skipped
from kedit.gate.report import FIRST_EDIT, KEY_COSINE, SAME_SUBJECT, SEQUENCE, Report, Series, read_report
from kedit.gate.report_files import report_markdown, write_reports
from kedit.gate.results import OUTCOMES, STATUSES

SCHEMA = json.loads(resources.files("kedit.gate").joinpath("report.schema.json").read_text(encoding="utf-8"))

PROPERTIES = """
import pytest

@pytest.mark.editing_property("efficacy.single")
@pytest.mark.parametrize("facts", [12, 2])
def test_single(gate, facts):
    \"\"\"An edit takes (a paper).\"\"\"
    gate.record("found", {"facts": facts, "odd": float("nan"), "pairs": [(1, 0.5)]})
    gate.judge("ES", 1.0)
    gate.judge("PS", float("nan") if facts == 2 else 0.9)

@pytest.mark.editing_property("locality.neighbors")
def test_crash(gate):
    raise RuntimeError("out of memory")

@pytest.mark.editing_property("efficacy.distinct-batch", needs=("batch",))
def test_batch(gate):
    gate.judge("ES", 1.0)
"""


def valid(data) -> bool:
    return Draft202012Validator(SCHEMA).is_valid(data)


def files(run, pytester, folder: str, *args: str) -> dict[str, str]:
    """The report of a run, without seconds."""
    result = run("--editor", "rome", "--model", "tiny-gpt2", "--model", "tiny-llama", "--editing-report", folder, *args,
                 apart=True)  # fmt: skip
    assert result.ret == 1
    found = {path.name: path.read_text(encoding="utf-8") for path in (pytester.path / folder).iterdir()}
    data = json.loads(found["report.json"])
    assert valid(data)
    for one in data["results"]:
        del one["seconds"]
    return found | {"report.json": json.dumps(data)}


def test_the_report_of_a_run_is_valid_and_the_same_whatever_the_number_of_workers(run, pytester):
    pytester.makepyfile(PROPERTIES)
    alone = files(run, pytester, "alone", "-n", "0")
    assert sorted(alone) == ["report.html", "report.json", "report.md"]
    assert files(run, pytester, "together", "-n", "2") == alone
    data = json.loads(alone["report.json"])
    assert (
        data["verdict"] == f"rome: rejected by: efficacy.single, locality.neighbors (only 3 of {COUNT} properties ran)"
    )
    assert [len(data["models"][name]["fingerprint"]) for name in ("tiny-gpt2", "tiny-llama")] == [64, 64]
    assert data["about"]["efficacy.single"] == ["An edit takes (a paper)."]
    assert data["tags"] == ["sequential", "writes_weights", "keyed", "needs_statistics"]
    told = [(one["name"], one["model"], one["data"]["facts"]) for one in data["series"]]
    assert told == [("found", model, n) for model in ("tiny-gpt2", "tiny-llama") for n in (2, 12)]
    assert data["series"][0]["data"] == {"facts": 2, "odd": None, "pairs": [[1, 0.5]]}
    nan = next(one for one in data["results"] if one["parameters"] == {"facts": 2, "metric": "PS"})
    assert (nan["measured"], nan["reason"], nan["status"]) == (None, "measured nan", "failed")
    assert (nan["unit"], nan["basis"], nan["bound"], nan["margin"]) == ("share of prompts", "sides", ">=", 0.0625)


def test_real_properties_give_the_same_report_whatever_the_number_of_workers(run, pytester):
    from kedit.gate.run import suite_folder

    found = []
    for workers in ("0", "2"):
        args = [suite_folder(), "--editor", "rome", "--model", "tiny-gpt2", "-k", "same_key or pure_edit or undo"]
        result = run(*args, "-n", workers, "--editing-report", workers, apart=True)
        assert result.ret == 0
        data = json.loads((pytester.path / workers / "report.json").read_text())
        assert valid(data)
        found.append([{**one, "seconds": 0} for one in data.pop("results")] + [data])
    assert found[0] == found[1]


@pytest.mark.parametrize("change", [
    {"schema": 1},
    {"outcome": "good"},
    {"notes": "loosened"},
    {"seed": 0.5},
    {"more": 1},
    {"versions": {"python": "3.11"}},
    {"models": {"m": {"name": "m"}}},
    {"results": [{"property": "efficacy.single"}]},
    {"series": [{"name": "sequence", "property": "a.b", "model": "m", "parameters": {}, "data": {}}]},
])  # fmt: skip
def test_a_damaged_report_is_not_valid(change):
    data = report().as_data()
    assert valid(data)
    assert not valid(data | change)
    for name in data:
        assert not valid({key: value for key, value in data.items() if key != name}), name


@pytest.mark.parametrize("change", [
    {"property": "no id"},
    {"status": "green"},
    {"bound": ">"},
    {"measured": "much"},
    {"margin": -1},
    {"measured": None},  # of a row that passed
    {"parameters": {"facts": [2]}},
])  # fmt: skip
def test_a_damaged_row_is_not_valid(change):
    data = report().as_data()
    data["results"][0] = data["results"][0] | change
    assert not valid(data)


def test_the_schema_knows_the_words_of_the_code():
    Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]["outcome"]["enum"]) == set(OUTCOMES)
    assert set(SCHEMA["$defs"]["result"]["properties"]["status"]["enum"]) == set(STATUSES)


def test_a_report_is_read_back(tmp_path):
    one = report(row("efficacy.single", "PS", math.inf, 0.75, "failed"), skipped("mechanism.same-key"))
    write_reports(tmp_path, [one])
    again = read_report(tmp_path)
    assert again == read_report(tmp_path / "report.json")
    assert again.as_data() == one.as_data()
    assert again.series == one.series
    assert valid(again.as_data())


def test_a_report_keeps_settings_that_json_does_not_know(tmp_path):
    import datetime

    one = report(settings={"since": datetime.date(2020, 1, 2), "layers": (1, 2), "rate": math.nan}, models=("m",))
    assert one.as_data()["settings"] == {"since": "2020-01-02", "layers": [1, 2], "rate": None}


@pytest.mark.parametrize(("change", "message"), [
    ({"schema": 1}, "report.json: field 'schema' is not 2; make the report again with --editing-report"),
    ({"seed": "zero"}, "report.json: field 'seed' must be a int, not 'zero'"),
    ({"results": [5]}, "report.json: result 1: must be an object, not 5"),
    ({"results": [{}]}, "report.json: result 1: field 'property' is missing"),
    ({"series": [{"name": "s"}]}, "report.json: series 1: field 'property' is missing"),
])  # fmt: skip
def test_a_wrong_file_is_told_by_its_field(tmp_path, change, message):
    (tmp_path / "report.json").write_text(json.dumps(report().as_data() | change))
    with pytest.raises(ValueError, match=r"report\.json") as caught:
        read_report(tmp_path)
    assert message in str(caught.value)


def test_a_wrong_row_is_told_by_its_field(tmp_path):
    for change, message in (
        ({"status": "green"}, "result 2: field 'status' must be one of failed, xfailed, passed, skipped, not 'green'"),
        ({"measured": "much"}, "result 2: field 'measured' must be a number or null, not 'much'"),
    ):
        data = report().as_data()
        data["results"][1] |= change
        (tmp_path / "report.json").write_text(json.dumps(data))
        with pytest.raises(ValueError, match="result 2") as caught:
            read_report(tmp_path)
        assert message in str(caught.value)


def test_what_is_no_report_at_all_is_told(tmp_path):
    with pytest.raises(ValueError, match="no report can be read"):
        read_report(tmp_path)
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(ValueError, match="name a folder of --editing-report"):
        read_report(tmp_path)


def test_the_markdown_starts_with_remarks_and_verdict():
    lines = report_markdown(report(notes=("Thresholds were loosened.",))).splitlines()
    assert lines[0] == "**Thresholds were loosened.**"
    assert lines[2] == "# Editing properties of `memit-merge`"
    assert lines[4] == "memit-merge: accepted with 1 known failure: perturbation.homogeneous-sequence"
    table = [line for line in lines if line.startswith("| ")][1:]
    assert "| -0.62 | >= -0.2 share of facts | -0.42 | xfailed |" in table[0]


def test_the_series_of_a_model_are_found_by_name():
    one = Report("e", "", (), series=(Series("s", SAME, "m", {}, {"a": 1}), Series("s", SAME, "n", {}, {"a": 2})))
    assert one.of("s", "n") == [{"a": 2}]


def test_the_page_on_the_report_names_every_field_and_series():
    page = (Path(__file__).parents[3] / "docs" / "report.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_-]+)`", page))
    assert set(SCHEMA["properties"]) | set(SCHEMA["$defs"]["result"]["properties"]) <= named
    assert {SAME_SUBJECT, FIRST_EDIT, SEQUENCE, KEY_COSINE} | {*STATUSES} <= named
