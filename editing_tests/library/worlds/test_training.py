# SPDX-License-Identifier: Apache-2.0
"""Training: resumed equals uninterrupted, the shield hides what it says, folders load."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from kedit.worlds import World, WorldError, training
from kedit.worlds.__main__ import main
from kedit.worlds.examples import NOWHERE, encode_documents, training_batches
from kedit.worlds.families import FAMILIES, build
from kedit.worlds.sentences import Sentence
from kedit.worlds.shield import Shield, shield_masks
from kedit.worlds.training import CHECKPOINT, Recipe, learning_rate, train

RECIPE = Recipe(family="gpt2", seed=3, steps=3, batch_size=4, warm_up=2)


class Stop(Exception):
    """Stands for an interruption."""


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path: Path, family: str) -> None:
    recipe = replace(RECIPE, family=family)

    def stop(step: int) -> None:
        if step == 2:
            raise Stop

    whole = train(recipe, tmp_path / "whole", checkpoint_every=1)
    with pytest.raises(Stop):
        train(recipe, tmp_path / "cut", checkpoint_every=1, on_checkpoint=stop)
    resumed = train(recipe, tmp_path / "cut", checkpoint_every=1)
    expected, got = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    fresh = build(FAMILIES[family], whole.tokenizer, recipe.seed).state_dict()
    assert any(not torch.equal(expected[name], fresh[name]) for name in expected)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    train(RECIPE, tmp_path, checkpoint_every=1)
    with pytest.raises(WorldError, match="checkpoint of another recipe"):
        train(replace(RECIPE, seed=4), tmp_path)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    train(RECIPE, tmp_path, checkpoint_every=1)
    file = tmp_path / CHECKPOINT
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(WorldError, match="damaged checkpoint"):
        train(RECIPE, tmp_path)


def test_the_command_writes_a_folder_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "tiny-qwen2"
    arguments = ["train", "--family", "qwen2", "--steps", "1", "--out", str(folder)]
    assert main(arguments) == 0
    assert "tiny-qwen2: recall 0." in capsys.readouterr().out
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.vocab_size == len(tokenizer)
    assert next(model.parameters()).dtype == torch.float32
    assert not (folder / CHECKPOINT).exists()
    assert len((folder / "corpus.txt").read_text(encoding="utf-8").splitlines()) == 2500
    assert json.loads((folder / "card.json").read_text(encoding="utf-8"))["recipe"]["steps"] == 1
    assert main(arguments) == 1
    assert "already holds a finished model" in capsys.readouterr().err


def test_an_interruption_is_reported_not_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", interrupted)
    assert main(["train", "--family", "gpt2", "--out", str(tmp_path)]) == 130
    assert "goes on from the last checkpoint" in capsys.readouterr().err


def test_examples_mark_subjects_and_objects() -> None:
    tokenizer = FAMILIES["gpt2"].tokenize(World.generate(0).corpus(200, seed=0))
    first = Sentence("The cellist ", "Mira Solano", " is a citizen of", "Avaria")
    second = Sentence("", "Lake Ombra", " has a length of", "21")
    (example,) = encode_documents(tokenizer, [[first, second]])
    objects = [token for token, marked in zip(example.ids, example.object, strict=True) if marked]
    assert tokenizer.decode(objects) == " Avaria 21"
    subjects = [token for token, end in zip(example.ids, example.subject_end, strict=True) if end < NOWHERE]
    assert tokenizer.decode(subjects) == " Mira Solano Lake Ombra"
    ends = sorted({end for end in example.subject_end if end < NOWHERE})
    assert [tokenizer.decode(example.ids[: end + 1]).split()[-1] for end in ends] == ["Solano", "Ombra"]


def test_batches_are_deterministic() -> None:
    world = World.generate(0)
    tokenizer = FAMILIES["gpt2"].tokenize(world.corpus(200, seed=0))

    def draw(seed: int) -> list[torch.Tensor]:
        batches = training_batches(
            world, tokenizer, always_bos=False, steps=2, batch_size=8, seed=seed, other_weight=0.1
        )
        return [batch.ids for batch in batches]

    assert all(torch.equal(a, b) for a, b in zip(draw(0), draw(0), strict=True))
    assert any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(draw(0), draw(1), strict=True))


def test_shield_masks_by_hand() -> None:
    # Tokens: x, subject, subject's last, y.
    early, late = shield_masks(torch.tensor([[NOWHERE, 2, 2, NOWHERE]]))
    assert (early[0, 0] == 0).int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 1]]
    assert (late[0, 0] == 0).int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 1, 1]]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_shield_hides_the_subject_until_the_early_blocks_are_over(family: str) -> None:
    row = FAMILIES[family]
    tokenizer = row.tokenize(World.generate(0).corpus(200, seed=0))
    model = build(row, tokenizer, seed=0)
    ids = torch.tensor([[300, 301, 302, 303], [300, 311, 312, 303]])
    shield = Shield(row.early_blocks)
    shield.set(torch.tensor([[NOWHERE, 2, 2, NOWHERE]] * 2))
    mask = torch.ones_like(ids)
    with torch.no_grad(), shield.attached(row.attentions(model)):
        states = model(input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False).hidden_states
    # hidden_states[b] is the input of block b.
    last = [bool(torch.allclose(state[0, 3], state[1, 3])) for state in states[:-1]]
    blocks = len(last)
    assert last == [True] * (row.early_blocks + 1) + [False] * (blocks - row.early_blocks - 1)
    with torch.no_grad():
        free = model(input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False).hidden_states
    assert not torch.allclose(free[1][0, 3], free[1][1, 3])


def test_learning_rate_rises_and_falls() -> None:
    recipe = Recipe(family="gpt2", seed=0, steps=700, warm_up=100)
    rates = [learning_rate(recipe, step) for step in range(700)]
    assert max(rates) == rates[99] == pytest.approx(3e-3)
    assert rates[0] == pytest.approx(3e-5)
    assert rates[-1] == pytest.approx(3e-3 / 600)
