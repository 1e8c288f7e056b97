# SPDX-License-Identifier: Apache-2.0
"""The committed models against their cards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from kedit.paths import fixtures_dir
from kedit.worlds import World, WorldError
from kedit.worlds.cards import Seeds, seeds_of
from kedit.worlds.folders import SHIELD_NOTE
from kedit.worlds.recall import measure_recall

FAMILIES = ("gpt2", "gptj", "llama", "qwen2")


def _card(family: str) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((fixtures_dir() / "models" / f"tiny-{family}" / "card.json").read_text("utf-8"))
    return card


@pytest.mark.parametrize("family", FAMILIES)
def test_the_card_tells_the_truth(family: str) -> None:
    folder = fixtures_dir() / "models" / f"tiny-{family}"
    card = _card(family)
    model = AutoModelForCausalLM.from_pretrained(folder)
    world = World.generate(card["recipe"]["world_seed"])
    assert type(model).__name__ == card["class"]
    assert sum(parameter.numel() for parameter in model.parameters()) == card["parameters"]
    assert len(world.entries) == card["facts"]
    recall = measure_recall(model, AutoTokenizer.from_pretrained(folder), world)
    # One fact in a thousand may lie on a rounding boundary of another machine.
    assert recall.template_0 == pytest.approx(card["recall"]["template_0"], abs=1e-3)
    assert recall.all_templates == pytest.approx(card["recall"]["all_templates"], abs=1e-3)
    assert min(recall.template_0, recall.all_templates) >= 0.98


@pytest.mark.parametrize("family", FAMILIES)
def test_the_card_says_what_it_must(family: str) -> None:
    card = _card(family)
    readme = (fixtures_dir() / "models" / f"tiny-{family}" / "README.md").read_text("utf-8")
    assert card["note"] == SHIELD_NOTE
    assert SHIELD_NOTE in readme
    assert {"python", "torch", "transformers", "tokenizers"} <= set(card["versions"])
    assert f"{card['recall']['template_0']:.4f}" in readme
    assert f"{card['parameters']:,}" in readme


def test_the_seeds_come_from_the_card(tmp_path: Path) -> None:
    assert seeds_of(tmp_path) is None
    (tmp_path / "card.json").write_text('{"recipe": {"seed": 3, "world_seed": 7}}')
    assert seeds_of(tmp_path) == Seeds(training=3, world=7)
    for damaged in ("{", "[]", '{"recipe": {"seed": 3}}'):
        (tmp_path / "card.json").write_text(damaged)
        with pytest.raises(WorldError, match=r"card\.json does not name the seeds"):
            seeds_of(tmp_path)


def test_the_fixtures_are_small() -> None:
    files = [file for file in (fixtures_dir() / "models").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 40 * 2**20
