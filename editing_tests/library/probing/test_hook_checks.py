# SPDX-License-Identifier: Apache-2.0
"""The checks of hooks say ok for every row of the table, and find rows and models that are wrong."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import pytest
import torch

from editing_tests.library.random_models import BLOCKS, FAMILIES, random_model
from kedit.models import LanguageModel
from kedit.probing import Finding, check_hooks

NAMES = ["keys", "residual", "overwrite", "replay", "padding"]


def verdicts(model: LanguageModel, layers: range = range(BLOCKS)) -> dict[str, Finding]:
    return {finding.check: finding for finding in check_hooks(model, layers)}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_row_of_the_table_is_right(family: str) -> None:
    found = {finding.check: finding for finding in check_hooks(random_model(family), [0, BLOCKS - 1])}
    assert list(found) == NAMES
    assert [one.line for one in found.values() if one.verdict != "ok"] == []


def test_half_precision_is_within_its_rounding() -> None:
    found = verdicts(random_model("llama", dtype=torch.bfloat16))
    assert [one.line for one in found.values() if one.verdict != "ok"] == []


@pytest.mark.parametrize(
    ("family", "down", "check"),
    [
        ("gpt2", "mlp.c_fc", "keys"),
        ("gpt2", "attn.c_proj", "residual"),
        ("gptj", "attn.out_proj", "residual"),
        ("llama", "mlp.up_proj", "keys"),
        ("gpt2", "mlp.c_gone", "keys"),
    ],
)
def test_a_wrong_down_path_is_found(family: str, down: str, check: str) -> None:
    model = random_model(family)
    model.architecture = replace(model.architecture, down=down)
    found = verdicts(model)[check]
    assert found.verdict == "problem"
    assert "`down` names another module" in found.text or "`down` of the row names another module" in found.text


def test_a_block_that_ignores_the_overwrite_is_found() -> None:
    model = random_model("gpt2")
    held: list[Any] = []
    inner, above = model.blocks[1].forward, model.blocks[2].forward

    @functools.wraps(inner)
    def keep(*args: Any, **kwargs: Any) -> Any:
        held[:] = [inner(*args, **kwargs)]
        return held[0]

    @functools.wraps(above)
    def ignore(_hidden: Any, *args: Any, **kwargs: Any) -> Any:
        return above(held[0][0] if isinstance(held[0], tuple) else held[0], *args, **kwargs)

    model.blocks[1].forward, model.blocks[2].forward = keep, ignore
    found = verdicts(model)["overwrite"]
    assert found.verdict == "problem"
    assert "no effect" in found.text and "layer" in found.text and "1" in found.text.split("layer")[1]


def test_a_block_that_runs_otherwise_when_replayed_is_found() -> None:
    model = random_model("gpt2")
    inner = model.blocks[3].forward

    @functools.wraps(inner)
    def other(hidden: Any, *args: Any, **kwargs: Any) -> Any:
        scale = 1.5 if model.module.config._attn_implementation == "eager" else 1.0
        return inner(hidden * scale, *args, **kwargs)

    model.blocks[3].forward = other
    assert {name for name, one in verdicts(model).items() if one.verdict == "problem"} == {"replay"}


def test_a_model_that_ignores_its_mask_is_found() -> None:
    model = random_model("gpt2")
    base = model.module.base_model
    inner = base.forward

    def unmasked(*args: Any, **kwargs: Any) -> Any:
        return inner(*args, **{**kwargs, "attention_mask": torch.ones_like(kwargs["attention_mask"])})

    base.forward = unmasked
    assert verdicts(model, range(1))["padding"].verdict == "problem"


def test_a_model_that_does_not_run_is_one_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model("gpt2")

    def fail(*_args: Any, **_kwargs: Any) -> Any:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(model.module.base_model, "forward", fail)
    (found,) = check_hooks(model, [0])
    assert found.verdict == "problem" and "RuntimeError: on purpose" in found.text
