# SPDX-License-Identifier: Apache-2.0
"""GRACE: what its codebook answers and what it leaves alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
import torch
from torch import Tensor

from editing_tests.library.random_models import random_model
from kedit.editors import EditorError, load_editor
from kedit.facts import Fact, Prompt
from kedit.gate import capture, differences
from kedit.models import LanguageModel
from kedit.models.activations import Site, read, run
from kedit.models.codebook import Codebook
from kedit.models.language_model import ModelError
from kedit.models.scoring import score_targets
from kedit.models.tokens import Row, Text, collate, encode
from kedit.paths import fixtures_dir
from kedit.worlds.sampling import Sampler
from kedit.worlds.world import World

FAMILIES = ("gpt2", "gptj", "llama", "qwen2")
LAYER, D, F = 1, 16, 24
SETTINGS = {"layer": LAYER, "radius": 0.05, "steps": 40}


def fact(subject: str, template: str, target: str) -> Fact:
    return Fact(Prompt.from_template(template, subject), target, "the old one", id=f"{subject} {target}")


BORN, PLAYS = fact("Mira Solano", "{} was born in", "Spain"), fact("Mira Solano", "{} plays for", "Głogów")
ADA = fact("Ada", "{} lives in", "2012")
OTHERS = ("The river runs through the town", "Ada likes", "Mira Solano, a singer, was born in")


def edited(family: str = "gpt2", facts: tuple[Fact, ...] = (BORN, PLAYS, ADA), **more: Any) -> LanguageModel:
    model, editor = random_model(family), load_editor("grace", SETTINGS | more)
    for one in facts:
        editor.edit(model, [one])[0].apply(model)
    return model


def codebook(model: LanguageModel) -> Codebook:
    assert isinstance(model.memory, Codebook)
    return model.memory


def hidden(model: LanguageModel, ids: list[tuple[int, ...]], **kwargs: Any) -> Tensor:
    with torch.no_grad():
        found = run(model, collate([Row(one, None, len(one)) for one in ids], **kwargs), use_cache=False)
        out: Tensor = found.last_hidden_state
        return out


def ids_of(model: LanguageModel, *texts: str) -> list[tuple[int, ...]]:
    return [row.ids for row in encode(model.tokenizer, [Text(Prompt(text, "", "")) for text in texts])]


@pytest.mark.parametrize("family", FAMILIES)
def test_facts_answer_otherwise_and_what_no_ball_holds_is_the_same_bit_for_bit(family: str) -> None:
    model, plain = edited(family), random_model(family)
    pairs = [(one.prompt.text, one.target) for one in (BORN, PLAYS, ADA)]
    scores = zip(score_targets(model, pairs), score_targets(plain, pairs), strict=True)
    assert all(after.mean > before.mean for after, before in scores)
    others = ids_of(model, *OTHERS)
    assert torch.equal(hidden(model, others), hidden(plain, others))
    model.attach(None)
    for ids in ids_of(model, *(prompt for prompt, _ in pairs)):
        assert torch.equal(hidden(model, [ids]), hidden(plain, [ids]))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_value_stands_at_the_prompts_last_token_alone(family: str) -> None:
    """By the tokens' own queries: the output at the last token of the prompt is the value, that of others W k."""
    model = edited(family, (BORN,))
    (row,) = encode(model.tokenizer, [Text(BORN.prompt, BORN.target)])
    plain = random_model(family)
    for index in range(len(row.ids)):
        found, before = (
            read(one, [row], [index], [Site("value", LAYER)])[Site("value", LAYER)][0] for one in (model, plain)
        )
        if index == row.target_start - 1:
            assert torch.equal(found, codebook(model).values[0])
        else:
            torch.testing.assert_close(found, before, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_answer_the_same_alone_among_others_after_others_and_with_a_cache(family: str) -> None:
    model = edited(family)
    texts = (BORN.prompt.text, *OTHERS, PLAYS.prompt.text, ADA.prompt.text)
    rows = ids_of(model, *texts)
    alone = [hidden(model, [ids])[0, -1] for ids in rows]
    for side in ("left", "right"):
        together = hidden(model, rows, side=side)
        for i, ids in enumerate(rows):
            last = -1 if side == "left" else len(ids) - 1
            torch.testing.assert_close(together[i, last], alone[i], rtol=1e-4, atol=1e-4)
    again = [hidden(model, [ids])[0, -1] for ids in rows]
    assert all(torch.equal(one, other) for one, other in zip(alone, again, strict=True))
    # Decoding token by token with a cache says what the whole sentence says at once.
    for ids in ids_of(model, BORN.prompt.text, PLAYS.prompt.text, ADA.prompt.text):
        prompt = torch.tensor([ids])
        options = {"attention_mask": torch.ones_like(prompt), "pad_token_id": 0, "eos_token_id": None}
        said = model.module.generate(prompt, max_new_tokens=4, do_sample=False, **options)[0]
        with torch.no_grad():
            logits = model.head(hidden(model, [tuple(said.tolist())])[0])
        assert logits[len(ids) - 1 : -1].argmax(-1).tolist() == said[len(ids) :].tolist()


def test_facts_of_the_world_take_and_paraphrases_answer_as_before() -> None:
    model = LanguageModel.from_pretrained(fixtures_dir() / "models" / "tiny-gpt2")
    facts, editor = Sampler(World.generate(0)).distinct(3, seed=900_000), load_editor("grace")
    asked = [(text, one.target) for one in facts for text in one.paraphrases]
    before = score_targets(model, asked)
    for one in facts:
        editor.edit(model, [one])[0].apply(model)
    assert all(found.greedy for found in score_targets(model, [(one.prompt.text, one.target) for one in facts]))
    after = score_targets(model, asked)
    assert all(torch.equal(one.log_probs, other.log_probs) for one, other in zip(before, after, strict=True))


def test_inference_never_changes_the_codebook() -> None:
    model = edited()
    book, before = codebook(model), model.fingerprint()
    score_targets(model, [(text, "Spain") for text in (*OTHERS, BORN.prompt.text)])
    model.module.train()
    hidden(model, ids_of(model, *OTHERS))
    assert model.memory is book and model.fingerprint() == before


def test_attached_and_taken_off_leaves_no_hook() -> None:
    model = random_model("gpt2")
    before = capture(model)
    editor = load_editor("grace", SETTINGS)
    snapshots = []
    for one in (BORN, PLAYS):
        update, _ = editor.edit(model, [one])
        snapshots.append(update.apply(model))
    assert differences(before, capture(model)) == ["weights", "hooks"]
    twin = model.copy()
    assert codebook(twin) is codebook(model)
    for snapshot in reversed(snapshots):
        snapshot.restore(model)
    assert differences(before, capture(model)) == []
    assert len(codebook(twin)) == 2


def test_labels_follow_their_keys_over_three_edits() -> None:
    model = edited()
    book = codebook(model)
    for entry, one in enumerate((BORN, PLAYS, ADA)):
        (row,) = encode(model.tokenizer, [Text(one.prompt, one.target)])
        query = read(model, [row], [row.target_start - 1], [Site("key", LAYER)])[Site("key", LAYER)][0]
        assert book.labels[entry] == row.target_ids
        torch.testing.assert_close(book.keys[entry], query, rtol=1e-5, atol=1e-5)


def test_only_the_entry_of_the_fact_is_trained() -> None:
    model = edited(facts=(BORN, PLAYS))
    before = codebook(model)
    update, _ = load_editor("grace", SETTINGS).edit(model, [ADA])
    after = update.memory
    assert isinstance(after, Codebook) and len(after) == 3
    assert torch.equal(after.values[:2], before.values) and torch.equal(after.keys[:2], before.keys)
    assert update.changes == {} and update.notes["entries"] == 3 and len(update.notes["radii"]) == 3


def test_another_target_of_a_prompt_takes_its_entry_over() -> None:
    again = fact("Mira Solano", "{} was born in", "Peru")
    model = edited(facts=(BORN, again))
    assert len(codebook(model)) == 1
    pairs = [(one.prompt.text, one.target) for one in (again, BORN)]
    now, before = (score_targets(one, pairs) for one in (model, edited(facts=(BORN,))))
    assert now[0].mean > before[0].mean and now[1].mean < before[1].mean


def test_a_ball_that_holds_other_tokens_of_the_row_is_trained_as_it_will_answer() -> None:
    """With a radius that covers everything, the loss in the notes is that of the model with the codebook."""
    model = random_model("gpt2")
    editor = load_editor("grace", SETTINGS | {"radius": 100.0, "steps": 3, "lr": 0.1})
    for one in (BORN, ADA):
        update, _ = editor.edit(model, [one])
        update.apply(model)
        (scored,) = score_targets(model, [(one.prompt.text, one.target)])
        assert -scored.mean == pytest.approx(update.notes["loss"], rel=1e-3)


def test_cold_and_warm_starts() -> None:
    model = random_model("gpt2")
    (row,) = encode(model.tokenizer, [Text(BORN.prompt)])
    own = read(model, [row], [len(row.ids) - 1], [Site("value", LAYER)])[Site("value", LAYER)][0]
    settings = SETTINGS | {"steps": 0}
    values = {
        name: codebook(edited(facts=(BORN,), **(settings | more))).values[0]
        for name, more in {"warm": {"start": "warm"}, "cold": {}, "again": {}, "other": {"seed": 1}}.items()
    }
    torch.testing.assert_close(values["warm"], own, rtol=1e-5, atol=1e-5)
    assert torch.equal(values["cold"], values["again"]) and not torch.equal(values["cold"], values["other"])
    assert float(values["cold"].min()) >= 0 and float(values["cold"].max()) < 1


class Foreign:
    tensors: Mapping[str, Tensor] = MappingProxyType({})

    def attach(self, model: LanguageModel) -> Any:
        return lambda: None


def test_what_grace_cannot_edit_is_refused_by_name() -> None:
    model = random_model("gpt2")
    editor = load_editor("grace", SETTINGS)
    with pytest.raises(EditorError, match="one fact a call and got 2"):
        editor.edit(model, [BORN, ADA])
    model.attach(Foreign())
    with pytest.raises(EditorError, match=r"memory of another kind \(Foreign\); take it off first"):
        editor.edit(model, [BORN])
    model.attach(Codebook.empty(2, F, D))
    with pytest.raises(EditorError, match="stands beside block 2, the setting 'layer' is 1; set it to 2"):
        editor.edit(model, [BORN])
    with pytest.raises(ModelError, match="does not fit random gpt2"):
        model.attach(replace(Codebook.empty(LAYER, F, D), values=torch.zeros(0, D + 1)))
    with pytest.raises(ModelError, match="no nearest key"):
        Codebook.empty(1, F, D).nearest(torch.zeros(F))


@pytest.mark.parametrize("one", [BORN, PLAYS, ADA], ids=lambda one: one.id)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_ball_of_nothing_holds_its_key_or_is_refused(family: str, one: Fact) -> None:
    """Rounding decides which, on every machine anew."""
    model, said = random_model(family), ""
    try:
        load_editor("grace", SETTINGS | {"radius": 0.0}).edit(model, [one])[0].apply(model)
    except EditorError as error:
        said = str(error)
    assert "radius is 0.0, so small that rounding decides" in said or len(codebook(model)) == 1
