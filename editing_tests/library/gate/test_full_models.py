# SPDX-License-Identifier: Apache-2.0
"""Runs with `-m gpu` on a machine that has neither an accelerator nor the weights."""

from __future__ import annotations

import json

import pytest
import torch

from kedit.gate.run import suite_folder
from kedit.gate.thresholds import Thresholds
from kedit.models.full_models import FULL_MODELS, configuration
from kedit.models.random_weights import reduced
from kedit.paths import fixtures_dir

EDITORS = ("memit-merge", "d4s")
# The first of two blocks: at a subject's last token the last one is read by nobody.
SETTINGS = """
layers = [0]
ridge = 0.6
value = { steps = 3, lr = 0.5, clamp = 4.0 }
contexts = { count = 2 }
"""
KNOWN = """
[[expect]]
property = "mechanism.own-key"
models = ["small-gpt-j-6b"]
reason = "GPT-J's blocks are parallel: in the first one a key sees its own token only, not what stands before it"
"""
MECHANICS = "mechanism or exact_undo or batch_order or batch_independence or padding"


@pytest.fixture
def nothing_here(monkeypatch, tmp_path):
    """Neither an accelerator nor stored weights, whatever this machine has."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "nothing"))


def test_what_is_not_at_hand_is_skipped_with_its_reason(run, nothing_here):
    result = run(suite_folder(), "-m", "gpu", "-rs")
    assert result.ret == pytest.ExitCode.OK
    outcomes = result.parseoutcomes()
    assert outcomes["skipped"] == len(FULL_MODELS)
    assert not set(outcomes) & {"passed", "failed", "errors"}
    for name, model in FULL_MODELS.items():
        (line,) = [line for line in result.outlines if line.startswith(f"{name}  ")]
        assert f"hf download {model.hub_id}" in line
        assert "no CUDA device" in line


def test_what_is_required_and_not_at_hand_fails(run, nothing_here):
    result = run(suite_folder(), "-m", "gpu and not gpu_large", "--require-gpu")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    small = [name for name, model in FULL_MODELS.items() if not model.large]
    assert result.parseoutcomes()["failed"] == len(small)
    result.stdout.fnmatch_lines(["*hf download*"])


def test_too_little_memory_is_told_before_loading(run, monkeypatch, nothing_here):
    monkeypatch.setattr("kedit.models.memory.memory_at_hand", lambda _device: 2**30)
    result = run(suite_folder(), "-m", "gpu", "--random-weights", "--device", "cpu", "--model", "gpt2-xl")
    assert result.ret == pytest.ExitCode.OK
    assert result.parseoutcomes()["skipped"] == 1
    result.stdout.fnmatch_lines(["gpt2-xl  not judged:*GiB*"])


def test_a_run_without_the_marker_has_no_full_models(run):
    result = run(suite_folder() / "full_models", "--model", "tiny-gpt2")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert result.parseoutcomes()["deselected"] == 1


def test_a_tiny_model_takes_the_same_paths(run, pytester):
    model = fixtures_dir() / "models" / "tiny-llama"
    args = ("-m", "gpu", "--model", model, "--device", "cpu", "--editor", "memit-merge", "--editing-report", "report")
    result = run(suite_folder(), *args, "-k", "full_model or test_single or merged_value or half_precision")
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(passed=4, deselected=result.parseoutcomes()["deselected"])
    result.stdout.fnmatch_lines(["tiny-llama  float32 on cpu"])
    report = json.loads((pytester.path / "report" / "report.json").read_text())
    assert {row["status"] for row in report["results"]} == {"passed"}


def test_random_weights_at_reduced_width(run, pytester, toml):
    """Mechanics that need no knowledge, on two blocks of each architecture."""
    settings = toml("".join(f"[{editor}]{SETTINGS}" for editor in EDITORS))
    (pytester.path / "known.toml").write_text(KNOWN)
    args = ["-m", "gpu", "--random-weights", "--device", "cpu", "--editor-config", settings, "--expect", "known.toml"]
    for name in FULL_MODELS:
        folder = pytester.mkdir(f"small-{name}")
        reduced(configuration(name)).to_json_file(folder / "config.json", use_diff=False)
        args += ["--model", folder]
    args += [argument for editor in EDITORS for argument in ("--editor", editor)]
    result = run(suite_folder(), *args, "-k", MECHANICS, "--editing-report", "report")
    assert result.ret == pytest.ExitCode.OK, result.outlines[-2:]
    for editor in EDITORS:
        rows = json.loads((pytester.path / "report" / editor / "report.json").read_text())["results"]
        judged = {(row["property"], row["model"]) for row in rows if row["status"] == "passed"}
        own = {"memit-merge": ["merged-value"], "d4s": ["history-identity", "history-bound"]}[editor]
        wanted = [f"mechanism.{one}" for one in ("same-key", *own)]
        wanted += [f"contract.{one}" for one in ("exact-undo", "batch-independence", "batch-order", "padding-side")]
        assert {(one, f"small-{name}") for one in wanted for name in FULL_MODELS} <= judged
        assert not any(one.startswith(("efficacy", "locality", "longevity", "perturbation")) for one, _ in judged)


def test_thresholds_of_real_models_decide_on_real_models_only():
    folder = suite_folder()
    suite = Thresholds.read(folder / "thresholds.toml")
    both = suite.with_real(folder / "full_models" / "thresholds.toml")
    asked = ("longevity.sequence", "exact_match", "gpt-j-6b", {})
    assert both.find(*asked, real=True).basis == "published"
    assert both.find(*asked) == suite.find(*asked)
    unpublished = ("efficacy.single", "ES", "gpt-j-6b", {})
    assert both.find(*unpublished, real=True) == suite.find(*unpublished)
    eight = ("perturbation.same-subject-batch", "exact_match", "gpt-j-6b", {"facts": 8})
    assert both.find(*eight, real=True).basis == "published"
