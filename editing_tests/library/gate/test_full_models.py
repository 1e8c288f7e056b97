# SPDX-License-Identifier: Apache-2.0
"""Runs with `-m gpu` on a machine that has neither an accelerator nor the weights."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from kedit.fact_files import record_of_fact
from kedit.gate.candidates import EDITED_AT_ONCE, EDITED_LAYERS, SESSIONS_AT_ONCE
from kedit.gate.run import suite_folder
from kedit.gate.thresholds import Thresholds
from kedit.models import LanguageModel
from kedit.models.full_models import FULL_MODELS, configuration
from kedit.models.memory import memory_needed
from kedit.models.random_weights import reduced
from kedit.paths import fixtures_dir
from kedit.worlds import Sampler, World

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
def facts_file(pytester):
    """Write so many facts of the tiny world into a file."""

    def write(n: int) -> Path:
        path = pytester.path / "facts.json"
        path.write_text(json.dumps([record_of_fact(fact) for fact in Sampler(World.generate(0)).distinct(n, 0)]))
        return path

    return write


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


def test_sums_that_would_not_fit_skip_the_editor_that_keeps_them(run, monkeypatch):
    """D4S keeps a matrix of the keys' size for each layer, MEMIT does not."""
    model = LanguageModel.from_pretrained(fixtures_dir() / "models" / "tiny-gpt2")
    config, layers = model.module.config, EDITED_LAYERS
    need, most = (memory_needed(config, torch.float32, layers=layers, history=one) for one in (False, True))
    beside = need.weights + EDITED_AT_ONCE * need.edited + need.activations + need.solving
    assert most.history > need.weights
    # The model and all that any editor needs fit, and half of the sums.
    room = beside + need.weights + most.history // 2
    free = iter([room + SESSIONS_AT_ONCE * need.moments, *([room - need.weights] * 20)])
    monkeypatch.setattr("kedit.models.memory.memory_at_hand", lambda _device: next(free))
    args = ["-m", "gpu", "--model", "tiny-gpt2", "--device", "cpu", "--editor", "memit", "--editor", "d4s"]
    result = run(suite_folder(), *args, "-k", "deterministic", "-rs")
    assert result.ret == pytest.ExitCode.OK
    outcomes = result.parseoutcomes()
    assert (outcomes["passed"], outcomes["skipped"]) == (1, 1)
    result.stdout.fnmatch_lines(["*sums over earlier edits needs * GiB on cpu*"])


def test_a_run_without_the_marker_has_no_full_models(run):
    result = run(suite_folder() / "full_models", "--model", "tiny-gpt2")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert result.parseoutcomes()["deselected"] == 1


def test_a_tiny_model_takes_the_same_paths_in_half_precision(run, pytester):
    model = fixtures_dir() / "models" / "tiny-llama"
    args = ["-m", "gpu", "--model", model, "--device", "cpu", "--dtype", "bfloat16", "--editor", "memit-merge"]
    chosen = "full_model or half_precision or batch_independence"
    result = run(suite_folder(), *args, "-k", chosen, "--editing-report", "report")
    assert result.ret == pytest.ExitCode.OK
    assert result.parseoutcomes()["passed"] == 3
    result.stdout.fnmatch_lines(["tiny-llama  bfloat16 on cpu"])
    report = json.loads((pytester.path / "report" / "report.json").read_text())
    assert {row["status"] for row in report["results"]} == {"passed"}
    assert any(row["parameters"]["metric"] == "lost_share" for row in report["results"])


def test_a_property_that_needs_more_facts_is_skipped_and_not_judged(run, pytester, facts_file):
    args = ["-m", "gpu", "--model", "tiny-gpt2", "--device", "cpu", "--editor", "ft", "--facts", facts_file(5)]
    result = run(suite_folder(), *args, "-k", "distinct_batch or bad_fact", "--editing-report", "report")
    assert result.ret == pytest.ExitCode.OK
    rows = json.loads((pytester.path / "report" / "report.json").read_text())["results"]
    assert {row["property"]: row["status"] for row in rows} == {
        "contract.rejects-bad-facts": "passed",
        "efficacy.distinct-batch": "skipped",
    }
    assert any("cannot draw 30 subjects" in row["reason"] for row in rows)
    assert result.outlines[-1].startswith("ft: accepted (only 1 of ")


def test_an_editor_cannot_skip_what_it_fails(run, pytester):
    pytester.makepyfile(
        sly="""
        from kedit.editors import Tags
        from kedit.gate.skipping import NotPossibleHere

        class Sly:
            name, tags = "sly", Tags()

            def edit(self, model, facts, state=None):
                raise NotPossibleHere("too hard")
        """
    )
    result = run(suite_folder(), "--editor", "sly:Sly", "--model", "tiny-gpt2", "-k", "deterministic")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*contract.deterministic*failed*the editor raised NotPossibleHere: too hard*"])


def test_what_is_written_into_the_unedited_model_is_found(run, pytester):
    """Models that are edited share weights with it, so an editor that writes in place spoils what comes after."""
    pytester.makepyfile(
        careless="""
        import torch
        from kedit.editors import load_editor
        from kedit.gate.skipping import NotPossibleHere

        class Careless:
            def __init__(self, raises=None):
                self.editor, self.raises = load_editor("ft-l"), raises
                self.name, self.tags, self.calls = "careless", self.editor.tags, 0

            def edit(self, model, facts, state=None):
                self.calls += 1
                own = model.copy()
                for parameter in own.module.parameters():
                    parameter.data.zero_()
                if self.calls == 1:
                    model.final_norm.weight.data.mul_(1.5)
                    if self.raises:
                        raise self.raises
                return self.editor.edit(model, facts, state)

        class Stumbling(Careless):
            def __init__(self):
                super().__init__(ValueError("and stumbles"))

        class Sly(Careless):
            def __init__(self):
                super().__init__(NotPossibleHere("and would be skipped"))
        """
    )
    args = ["-m", "gpu", "--model", "tiny-gpt2", "--device", "cpu", "--editor", "careless:Careless"]
    args += ["--editor", "careless:Stumbling", "--editor", "careless:Sly"]
    result = run(suite_folder(), *args, "-k", "batch_order or exact_undo or test_single")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes()["failed"] == 3  # what comes after them finds the model as it was loaded
    wrong = "*weights of the unedited model were changed, and not by an update*"
    result.stdout.fnmatch_lines([f"contract.batch-order*failed{wrong}"])
    result.stdout.fnmatch_lines(["E  *ValueError: and stumbles", f"E  {wrong}"])


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([{"neither": "this"}], ["--facts", "bad.json"]),
        (None, ["none of 1 facts has a true object, paraphrases and neighbors"]),
    ],
    ids=["unreadable", "bare"],
)
def test_bad_facts_are_wrong_usage_and_not_the_editors_fault(run, pytester, records, words):
    if records is None:
        (fact,) = Sampler(World.generate(0)).distinct(1, 0)
        records = [record_of_fact(dataclasses.replace(fact, paraphrases=(), neighborhood=()))]
    (pytester.path / "bad.json").write_text(json.dumps(records))
    result = run("-m", "gpu", "--model", "tiny-gpt2", "--device", "cpu", "--editor", "ft", "--facts", "bad.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert all(word in line for word in words), line


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


def test_random_weights_in_half_precision(run, pytester, toml):
    """What a model written and loaded again, rounded, or edited in company could lose where weights have eight bits."""
    settings = toml(SETTINGS)
    args = ["-m", "gpu", "--random-weights", "--device", "cpu", "--dtype", "bfloat16", "--editor-config", settings]
    names = ("gpt-j-6b", "llama-3-8b-instruct")
    for name in names:
        folder = pytester.mkdir(f"small-{name}")
        reduced(configuration(name)).to_json_file(folder / "config.json", use_diff=False)
        args += ["--model", folder]
    chosen = ("folder-name", "saved-model", "half-precision", "exact-undo", "deterministic", "two-models")
    expression = " or ".join(one.replace("-", "_") for one in chosen)
    result = run(suite_folder(), *args, "--editor", "memit-merge", "-k", expression, "--editing-report", "report")
    assert result.ret == pytest.ExitCode.OK, result.outlines[-2:]
    report = json.loads((pytester.path / "report" / "report.json").read_text())
    assert {told["dtype"] for told in report["models"].values()} == {"bfloat16"}
    judged = {(row["property"], row["model"]) for row in report["results"] if row["status"] == "passed"}
    assert judged == {(f"contract.{one}", f"small-{name}") for one in chosen for name in names}


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
