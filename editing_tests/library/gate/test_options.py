# SPDX-License-Identifier: Apache-2.0
"""Wrong input ends in one line that says what to do, before anything is collected."""

from __future__ import annotations

import pytest


def refused(result: pytest.RunResult) -> str:
    """The one line of a usage error."""
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert len(lines) == 1
    assert not any("Traceback" in line or "collected" in line for line in result.outlines + result.errlines)
    return lines[0]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--editor", "memti"], ["unknown editor 'memti'", "did you mean 'memit'"]),
        (["--editor", "no.such:Editor"], ["no.such", "cannot be imported"]),
        (["--editor", "kedit.facts:Nothing"], ["kedit.facts", "no attribute 'Nothing'"]),
        (["--editor", "kedit.facts:SLOT"], ["not an editor", "it lacks name, tags, edit"]),
        (["--editor", "memit", "--editor", "memit"], ["--editor memit is given twice"]),
        (["--model", "tiny-gpt9"], ["--model tiny-gpt9", "tiny-gpt2", "config.json"]),
        (["--editor-config", "none.toml", "--editor", "memit"], ["--editor-config none.toml", "cannot be read"]),
        (["--expect", "none.toml"], ["--expect none.toml", "cannot be read"]),
        (["--thresholds", "none.toml"], ["--thresholds none.toml", "cannot be read"]),
        (["--allow-looser"], ["--allow-looser needs --thresholds"]),
        (["--write-expectations", "new.toml"], ["--write-expectations needs --editor"]),
        (["--editor", "memit", "--write-expectations", "."], ["--write-expectations .: is a folder; name a file"]),
        (["--editing-tables-dir", "tables"], ["--editing-tables-dir needs --editor"]),
        (["--editor", "memit", "--editing-tables-dir", "file"], ["--editing-tables-dir file: is a file"]),
        (["--editing-report", "file"], ["--editing-report file: is a file; name a folder"]),
        (["--editor", "memit", "--expect", "empty.toml", "--write-expectations", "file"], ["file: is there already"]),
    ],
    ids=lambda value: "-".join(value).replace("--", "")[:30] if isinstance(value, list) else None,
)
def test_wrong_string(run, pytester, args, words):
    for name in ("file", "empty.toml"):
        (pytester.path / name).touch()
    line = refused(run(*args))
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("option", "text", "words"),
    [
        ("--editor-config", "layers = ", ["not valid TOML"]),
        ("--editor-config", "layrs = [1]", ["memit", "layrs", "did you mean 'layers'"]),
        ("--expect", "[[expect]]\nproperty = 'efficacy.single'", ["entry 1", "'reason' is missing"]),
        ("--expect", "[[expect]]\nproperty = 'efficacy.singel'\nreason = 'x'", ["no property 'efficacy.singel'"]),
        (
            "--expect",
            "[[expect]]\nproperty = 'efficacy.single'\nmetric = 'NS'\nreason = 'x'",
            ["no metric 'NS'", "ES, PS, exact_match"],
        ),
        ("--expect", "[[expect]]\nproperty = 'efficacy.single'\nreason = 'x'\nfor = 1", ["unknown field 'for'"]),
        ("--expect", "[[expected]]\nproperty = 'efficacy.single'", ["unknown table 'expected'"]),
        ("--thresholds", "", ["no [[threshold]] entry"]),
        ("--thresholds", "[[threshold]]\nproperty = 'efficacy.single'\nmetric = 'ES'", ["'value' is missing"]),
        (
            "--thresholds",
            "[[threshold]]\nproperty = 'efficacy.single'\nmetric = 'ES'\nvalue = 0.1",
            ["looser than the suite's", "only be tightened"],
        ),
        (
            "--thresholds",
            "[[threshold]]\nproperty = 'locality.perplexity'\nmetric = 'perplexity_ratio'\nvalue = 100",
            ["looser than the suite's"],
        ),
        (
            "--thresholds",
            "[[threshold]]\nproperty = 'efficacy.single'\nmetric = 'EM'\nvalue = 1",
            ["no metric 'EM'", "exact_match"],
        ),
    ],
    ids=lambda value: None if isinstance(value, list) else value.strip().replace("\n", " ")[-40:],
)
def test_wrong_file(run, toml, option, text, words):
    line = refused(run("--editor", "memit", option, toml(text)))
    assert "given.toml" in line or option == "--editor-config"
    assert all(word in line for word in words), line


def test_what_is_wrong_is_told_once_under_xdist(run):
    line = refused(run("--editor", "memti", "--allow-looser", "-n", "2", apart=True))
    assert "--allow-looser needs --thresholds" in line


def test_settings_need_an_editor(run, toml):
    assert "needs --editor" in refused(run("--editor-config", toml("layers = [1]")))


def test_settings_of_several_editors_stand_in_tables(run, toml):
    line = refused(run("--editor", "memit", "--editor", "rome", "--editor-config", toml("[d4s]\nridge = 1.0")))
    assert "'d4s' is not one of the editors given" in line


def test_import_error_of_a_third_party_is_one_line(run, pytester):
    pytester.makepyfile(elsewhere="raise RuntimeError('no licence\\nfor you')")
    line = refused(run("--editor", "elsewhere:Editor"))
    assert "RuntimeError" in line
    assert "no licence for you" in line


def test_two_models_of_one_name(run, pytester):
    for parent in ("a", "b"):
        folder = pytester.mkdir(parent) / "model"
        folder.mkdir()
        (folder / "config.json").write_text("{}")
    line = refused(run("--model", "a/model", "--model", "b/model"))
    assert "another model is called model" in line


def test_nothing_is_read_without_property_tests(run, pytester):
    """An environment that merely has kedit installed pays nothing for it."""
    pytester.makepyfile("def test_it(): pass")
    run().assert_outcomes(passed=1)
