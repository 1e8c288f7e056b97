# SPDX-License-Identifier: Apache-2.0
"""An edited model as a plain folder answers in another process as it does here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from editing_tests.library.random_models import random_model
from editing_tests.library.sessions.counting import Counting, fact
from kedit.models import LanguageModel, ModelError, score_targets
from kedit.sessions import EditSession

ROOT = Path(__file__).parents[3]
PROMPTS = ("Ada 0 lives in", "The first of them was")


def answers(folder: str) -> tuple[list[list[int]], list[str]]:
    """Greedy ids and the bits of scores; plain transformers for the ids."""
    module = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    words = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return decoded(module, words), scores(LanguageModel.from_pretrained(folder))


def decoded(module: torch.nn.Module, words: object) -> list[list[int]]:
    found = []
    for prompt in PROMPTS:
        ids = words(prompt, return_tensors="pt")["input_ids"]  # type: ignore[operator]
        with torch.no_grad():
            for _ in range(8):
                ids = torch.cat([ids, module(ids).logits[:, -1:].argmax(-1)], 1)
        found.append(ids[0].tolist())
    return found


def scores(model: LanguageModel) -> list[str]:
    return [float(score.mean).hex() for score in score_targets(model, [(prompt, "Spain") for prompt in PROMPTS])]


def test_another_process_reads_the_edited_model(tmp_path: Path) -> None:
    model = random_model("gpt2")
    model.corpus = ("Ada lives in Peru.", "Eve is there.")
    before = scores(model)
    session = EditSession(model, Counting(scale=0.5))
    session.apply([fact(0)])
    assert scores(model) != before
    model.save(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    code = "import sys, json, torch; torch.set_num_threads(1)\n"
    code += "from editing_tests.library.models.test_folders import answers; print(json.dumps(answers(sys.argv[1])))"
    call, where = [sys.executable, "-c", code, str(tmp_path / "out")], os.environ | {"PYTHONPATH": str(ROOT)}
    told = subprocess.run(call, capture_output=True, text=True, check=True, env=where)
    assert json.loads(told.stdout) == [decoded(model.module, model.tokenizer), scores(model)]
    again = LanguageModel.from_pretrained(tmp_path / "out")
    assert again.fingerprint() == model.fingerprint()
    assert again.corpus == model.corpus
    assert again.origin != model.origin


def test_a_memory_is_no_part_of_a_checkpoint(tmp_path: Path) -> None:
    session = EditSession(random_model("gpt2"), Counting(memory=True))
    session.apply([fact(0)])
    with pytest.raises(ModelError, match=r"a memory \(Push\) answers beside the weights .*; save the session"):
        session.model.save(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model("gpt2")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes").write_text("mine")
    with pytest.raises(ModelError, match="is there already; choose another folder or remove it"):
        model.save(tmp_path / "out")

    def fail(folder: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(model.tokenizer, "save_pretrained", fail)
    with pytest.raises(OSError, match="disk full"):
        model.save(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
