# SPDX-License-Identifier: Apache-2.0
"""Another process goes on with a session as this one would, and a plain checkpoint answers there as here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from editing_tests.library.sessions.comparing import counting, fresh, loaded, seen_at_all_depths
from editing_tests.library.sessions.counting import fact
from kedit.models import LanguageModel, score_targets

ROOT = Path(__file__).parents[3]
PROMPTS = ("Ada 0 lives in", "The first of them was")


def answers(session: str, folder: str) -> tuple[list[list[int]], list[str], str]:
    """Greedy ids by plain transformers, the bits of scores, and what the session is after one more edit."""
    module = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    words = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    on = loaded(session)
    on.apply([fact(1)])
    return decoded(module, words), scores(LanguageModel.from_pretrained(folder)), str(seen_at_all_depths(on))


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


def test_another_process_goes_on_and_answers_alike(tmp_path: Path) -> None:
    session = counting(scale=0.5)
    session.apply([fact(0)])
    session.save(tmp_path / "session")
    model = session.model
    model.save(tmp_path / "folder")
    assert scores(model) != scores(fresh())
    here = [decoded(model.module, model.tokenizer), scores(model)]
    session.apply([fact(1)])
    code = "import sys, json, torch; torch.set_num_threads(1)\n"
    code += f"from {__name__} import answers; print(json.dumps(answers(*sys.argv[1:])))"
    call = [sys.executable, "-c", code, str(tmp_path / "session"), str(tmp_path / "folder")]
    where = os.environ | {"PYTHONPATH": str(ROOT)}
    told = subprocess.run(call, capture_output=True, text=True, check=True, env=where)
    assert json.loads(told.stdout) == [*here, str(seen_at_all_depths(session))]
