# SPDX-License-Identifier: Apache-2.0
"""Pitfalls that concern every editor: tokens, padding, orientation, which weights, which facts, what is left behind."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st
from torch import Tensor, nn

from editing_tests.library.editors.examples import ADA, BORN, PLAYS, SETTINGS, VALUE, model_of
from editing_tests.library.profiles import drawn
from editing_tests.library.random_models import BLOCKS
from editing_tests.library.random_networks import LAYERS, random_network, weights_file
from kedit.editors import Editor, EditorError, editor_names, load_editor
from kedit.gate import capture, differences, digest, interrupted
from kedit.hypernetworks import mlp_matrices
from kedit.hypernetworks.storage import save
from kedit.models import LanguageModel, tokens
from kedit.models.codebook import Codebook
from kedit.models.scoring import score_targets
from kedit.models.tokens import Row, Text
from kedit.statistics import StatisticsError
from kedit.updates import Update

pytestmark = pytest.mark.usefixtures("own_cache")
TAGS = {name: load_editor(name).tags for name in editor_names()}
BATCH = [name for name, tags in TAGS.items() if tags.batch]
LAYERED = [name for name, settings in SETTINGS.items() if "layers" in settings]


def editor_of(name: str, model: LanguageModel, folder: Path, **more: Any) -> Editor:
    settings = SETTINGS | {"mend": {"weights": str(weights_file(model, folder))}}
    return load_editor(name, settings[name] | more)


def what_changes(update: Update) -> str:
    return digest({"changes": update.changes, "memory": None if update.memory is None else update.memory.tensors})


@pytest.mark.parametrize("name", editor_names())
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_targets_have_the_ids_of_the_whole_sentence_in_every_editor(
    name: str, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pitfalls 1, 2, 11, 58, 59 and 60: no start token, one blank, no cut character, whatever the method."""
    model = model_of(family)
    editor = editor_of(name, model, tmp_path)
    found: dict[str, set[tuple[int, ...]]] = {}
    locate = tokens._locate

    def spy(text: Text, *given: Any) -> Row:
        row = locate(text, *given)
        if text.target is not None:
            found.setdefault(text.target, set()).add(row.target_ids)
        return row

    monkeypatch.setattr(tokens, "_locate", spy)
    for one in (PLAYS, ADA):
        editor.edit(model, [one])
        words = model.tokenizer(f"{one.prompt.text} {one.target}")["input_ids"]
        start = len(model.tokenizer(one.prompt.text)["input_ids"])
        assert found[one.target] == {tuple(words[start:])}
        assert model.tokenizer.decode(words[start:]).strip() == one.target
        assert not set(words[start:]) & set(model.tokenizer.all_special_ids)


@pytest.mark.parametrize("name", editor_names())
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_padding_side_of_the_tokenizer_changes_nothing(
    name: str, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pitfalls 6 and 7, for facts of different lengths."""
    found = []
    for side in ("left", "right"):
        model = model_of(family)
        editor = editor_of(name, model, tmp_path)
        monkeypatch.setattr(model.tokenizer, "padding_side", side)
        update, _ = editor.edit(model, [BORN, ADA] if TAGS[name].batch else [BORN])
        found.append(what_changes(update))
        assert model.tokenizer.padding_side == side
    assert found[0] == found[1]


def linear_twin(model: LanguageModel) -> LanguageModel:
    """The same function, with Linear where the MLPs of GPT-2 have Conv1D."""
    module = copy.deepcopy(model.module)
    for block in module.transformer.h:
        for part in ("c_fc", "c_proj"):
            old = getattr(block.mlp, part)
            new = nn.Linear(*old.weight.shape)
            with torch.no_grad():
                new.weight.copy_(old.weight.T)
                new.bias.copy_(old.bias)
            setattr(block.mlp, part, new)
    return LanguageModel(module, model.tokenizer, corpus=model.corpus)


def edited_weights(model: LanguageModel, update: Update) -> dict[str, Tensor]:
    """What the update makes of each weight, less what it was, `(d_out, f_in)`; or the codebook."""
    if isinstance(update.memory, Codebook):
        return dict(update.memory.tensors)
    found = {}
    for name, change in update.changes.items():
        stored = model.parameter(name).detach()
        weight = stored.T if model.is_transposed(name) else stored
        found[name] = change.new_weight(weight) - weight
    return found


@pytest.mark.parametrize("name", editor_names())
def test_square_weights_are_turned_by_their_class_in_every_editor(name: str, tmp_path: Path) -> None:
    """Pitfall 23: with d = f no shape tells Conv1D from Linear, and both get the same edit."""
    model = model_of(keys=16)
    twin = linear_twin(model)
    assert model.is_transposed(model.weight_name(1)) and not twin.is_transposed(twin.weight_name(1))
    network = random_network(model)
    found = []
    for number, one in enumerate((model, twin)):
        path = tmp_path / f"{number}.safetensors"
        save(path, network, origin=one.origin, card={})
        update, _ = load_editor(name, (SETTINGS | {"mend": {"weights": str(path)}})[name]).edit(one, [ADA])
        found.append(edited_weights(one, update))
    assert found[0].keys() == found[1].keys()
    for key, change in found[0].items():
        assert change.norm() > 0
        assert float((found[1][key] - change).norm() / change.norm()) < 2e-3


def named_weights(name: str, model: LanguageModel, update: Update) -> set[str]:
    if name == "mend":
        return set(mlp_matrices(model, LAYERS))
    if name == "kn":
        return {model.weight_name(layer) for layer in update.notes["neurons"]}
    settings: Mapping[str, Any] = SETTINGS[name]
    layers = settings.get("layers", [settings.get("layer")]) if name != "grace" else []
    return {model.weight_name(layer) for layer in layers}


@pytest.mark.parametrize("name", editor_names())
def test_only_the_named_weights_change_and_no_bias(name: str, tmp_path: Path) -> None:
    """Pitfall 22."""
    model = model_of()
    update, _ = editor_of(name, model, tmp_path).edit(model, [ADA])
    assert set(update.changes) == named_weights(name, model, update)
    before = {key: parameter.detach().clone() for key, parameter in model.module.named_parameters()}
    update.apply(model)
    moved = {key for key, parameter in model.module.named_parameters() if not torch.equal(parameter, before[key])}
    assert moved == set(update.changes)


@pytest.mark.parametrize("name", LAYERED)
def test_unsorted_layers_are_the_same_layers(name: str) -> None:
    """Pitfall 24."""
    one, other = (
        load_editor(name, SETTINGS[name] | {"layers": layers}).edit(model_of(), [ADA])[0] for layers in ([1, 2], [2, 1])
    )
    assert list(one.changes) == list(other.changes)
    assert what_changes(one) == what_changes(other)


@pytest.mark.parametrize("name", LAYERED)
@drawn(0.05, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    family=st.sampled_from(["gpt2", "gptj", "llama"]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    side=st.sampled_from(["left", "right"]),
    layers=st.permutations(range(BLOCKS)).map(lambda order: order[:3]),
)
@example(family="llama", dtype=torch.float32, side="left", layers=[3, 0, 2])
def test_neither_side_nor_order_nor_layers_change_an_edit(
    name: str, family: str, dtype: torch.dtype, side: str, layers: list[int]
) -> None:
    """Pitfalls 7 and 24 together, for any layers and weights of any type; the tokenizer's setting comes back."""
    model, facts = model_of(family, dtype=dtype), [ADA, BORN]
    short = {"value": VALUE | {"steps": 1}, "contexts": {"count": 1, "length": 3}}
    before = model.tokenizer.padding_side
    found = []
    try:
        for padding, order in ((before, sorted(layers)), (side, layers)):
            model.tokenizer.padding_side = padding
            update, _ = load_editor(name, SETTINGS[name] | short | {"layers": order}).edit(model, facts)
            assert model.tokenizer.padding_side == padding
            assert list(update.changes) == [model.weight_name(layer) for layer in sorted(layers)]
            found.append(what_changes(update))
    finally:
        model.tokenizer.padding_side = before
    assert found[0] == found[1]


@pytest.mark.parametrize("name", editor_names())
def test_all_facts_that_were_asked_are_edited_or_none(name: str, tmp_path: Path) -> None:
    """Pitfall 35: a batch is edited whole, and an editor of single facts says so."""
    model = model_of("llama")
    editor, facts = editor_of(name, model, tmp_path), [BORN, ADA, PLAYS]
    if not TAGS[name].batch:
        with pytest.raises(EditorError, match="edits one fact a call and got 3"):
            editor.edit(model, facts)
        return
    update, _ = editor.edit(model, facts)
    assert update.facts == tuple(facts)
    without, _ = editor.edit(model, facts[:-1])
    assert what_changes(update) != what_changes(without)
    if update.evidence is not None:
        assert all(layer.keys.shape[1] == 3 for layer in update.evidence.layers.values())


@pytest.mark.parametrize("name", [name for name in BATCH if name != "mend"])  # its weights here are random
def test_every_fact_of_a_batch_becomes_more_likely(name: str) -> None:
    model = model_of("llama")
    facts = [BORN, ADA]
    pairs = [(one.prompt.text, one.target) for one in facts]
    before = score_targets(model, pairs)
    load_editor(name, SETTINGS[name] | easier(name)).edit(model, facts)[0].apply(model)
    after = score_targets(model, pairs)
    assert all(now.mean > then.mean for now, then in zip(after, before, strict=True))


def easier(name: str) -> dict[str, Any]:
    """More steps; and where the solve overshoots or is held back, one layer and a weak penalty."""
    if "value" not in SETTINGS[name]:
        return {"steps": 20}
    alone = {"d4s": {"layers": [1]}, "alphaedit": {"layers": [1], "l2": 1e-4}}
    return {"value": {**SETTINGS[name]["value"], "steps": 20, "kl": 0.0}, **alone.get(name, {})}


@pytest.mark.parametrize("name", editor_names())
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_an_edit_that_fails_midway_leaves_nothing_behind(name: str, share: float, tmp_path: Path) -> None:
    """Pitfall 41: weights, hooks, modes, gradients, tokenizer and random state, and the next edit is as ever."""
    model = model_of("llama")
    model.module.train()
    editor = editor_of(name, model, tmp_path)
    facts = [BORN, ADA] if TAGS[name].batch else [BORN]
    whole, _ = editor.edit(model, facts)
    before = capture(model)
    with interrupted(model) as counter:
        editor.edit(model, facts)
    with interrupted(model, round(share * (counter.calls - 1))), pytest.raises(RuntimeError, match="injected failure"):
        editor.edit(model, facts)
    assert differences(before, capture(model)) == []
    again, _ = editor.edit(model, facts)
    assert what_changes(again) == what_changes(whole)


@pytest.mark.parametrize("name", [name for name, tags in TAGS.items() if tags.needs_statistics])
def test_second_moments_of_too_few_tokens_are_refused(name: str) -> None:
    """Pitfall 63."""
    model = model_of()
    model.corpus = ("Mira Solano",)
    with pytest.raises(StatisticsError, match="tokens are missing"):
        load_editor(name, SETTINGS[name]).edit(model, [ADA])


@pytest.mark.parametrize("name", editor_names())
def test_an_edited_model_is_edited_as_it_is_now(name: str, tmp_path: Path) -> None:
    """Pitfall 27: nothing that belongs to a fact is remembered, so the same fact is another edit the second time;
    D4S means to work on the unedited weights, and asks for what is missing from there."""
    model = model_of("llama")
    editor = editor_of(name, model, tmp_path)
    first, state = editor.edit(model, [ADA])
    first.apply(model)
    second, _ = editor.edit(model, [ADA], state)
    assert what_changes(second) != what_changes(first)
