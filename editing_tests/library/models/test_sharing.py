# SPDX-License-Identifier: Apache-2.0
"""Copies that share weights behave as copies that do not, and take no memory for them."""

from __future__ import annotations

import pytest
import torch

from editing_tests.library.random_models import random_model
from kedit.editors import load_editor
from kedit.facts import Fact, Prompt
from kedit.gate.behaviour import converted, independent, moved, reordered
from kedit.models import LanguageModel
from kedit.models.sharing import own_storage

FAMILIES = ("gpt2", "gptj", "llama", "qwen2")
FACT = Fact(Prompt.from_template("{} lives in", "Ada Byron"), "Madrid", "Rome")
SETTINGS = {
    "memit": {"layers": [1, 2], "ridge": 0.5, "value": {"steps": 3, "lr": 0.5}, "contexts": {"count": 1}},
    "ft": {"layer": 2, "steps": 3},
}


def sharing(family: str) -> LanguageModel:
    model = random_model(family)
    model.corpus = tuple(f"Text {i} of Ada Byron, who was {i} in Madrid." for i in range(20))
    model.shares = True
    return model


def pointers(model: LanguageModel) -> dict[str, int]:
    return {name: parameter.data_ptr() for name, parameter in model.module.named_parameters()}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", SETTINGS)
def test_an_edit_of_a_copy_is_seen_there_alone(family: str, name: str) -> None:
    base = sharing(family)
    plain = random_model(family)
    plain.corpus = base.corpus
    editor = load_editor(name, SETTINGS[name])
    model, second = base.twin(), base.twin().twin()
    assert pointers(model) == pointers(second) == pointers(base)
    update, _ = editor.edit(model, [FACT])
    snapshot = update.apply(model)
    separate = {one for one, at in pointers(model).items() if at != pointers(base)[one]}
    assert separate == set(update.changes)
    update.apply(plain)
    assert model.fingerprint() == plain.fingerprint() != base.fingerprint()
    assert base.fingerprint() == second.fingerprint() == base.origin
    later = model.twin()
    snapshot.restore(model)
    assert model.fingerprint() == base.origin
    assert later.fingerprint() == plain.fingerprint()


def test_a_copy_shares_nothing(tmp_path) -> None:
    base = sharing("gpt2")
    for model in (base.twin(), base):
        copied = model.copy()
        assert not set(pointers(copied).values()) & set(pointers(base).values())
        for parameter in copied.module.parameters():
            parameter.data.add_(1)
    assert base.fingerprint() == base.origin


def test_the_base_can_be_edited_and_its_copies_stay() -> None:
    base = sharing("gpt2")
    twin = base.twin()
    name = base.weight_name(0)
    base.write(name, base.parameter(name) * 2)
    assert twin.fingerprint() == base.origin != base.fingerprint()


def test_tied_weights_stay_tied_and_shared_under_both_names() -> None:
    base = sharing("gpt2")
    twin = base.twin()
    assert twin.head.weight is twin.module.get_input_embeddings().weight
    twin.write("lm_head.weight", twin.parameter("lm_head.weight") + 1)
    assert twin.head.weight is twin.module.get_input_embeddings().weight
    assert base.fingerprint() == base.origin != twin.fingerprint()


def test_flags_of_a_copy_are_its_own() -> None:
    base = sharing("llama")
    twin = base.twin()
    with twin.frozen():
        assert all(parameter.requires_grad for parameter in base.module.parameters())
        assert not any(parameter.requires_grad for parameter in twin.module.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_twins_with_other_weights_leave_the_base(family: str) -> None:
    base = sharing(family)
    ids = torch.tensor([[5, 6, 7, 8]])
    other = reordered(base, 0)
    half = converted(base, torch.bfloat16)
    same = converted(base, torch.float32)
    assert base.fingerprint() == base.origin == same.origin
    assert len({base.origin, other.origin, half.origin}) == 3
    with torch.no_grad():
        torch.testing.assert_close(other.module(ids).logits, base.module(ids).logits)
    same.write(same.weight_name(1), same.parameter(same.weight_name(1)) + 1)
    assert base.fingerprint() == base.origin


def test_twins_of_a_full_model_leave_no_files(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDIT_CACHE", str(tmp_path / "cache"))
    editor, kept, left = load_editor("memit", SETTINGS["memit"]), sharing("gpt2"), sharing("gpt2")
    kept.corpus, left.corpus, left.stored = kept.corpus * 8, left.corpus * 8, False
    for twin in (independent(kept), left.twin(), moved(left, tmp_path / "moved").twin()):
        editor.edit(twin, [FACT])
    assert not list(tmp_path.rglob("*.safetensors"))
    editor.edit(kept.twin(), [FACT])
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2


def test_own_storage_keeps_numbers_and_ties() -> None:
    model = random_model("gpt2")
    for parameter in model.module.parameters():  # as they lie in a file, one behind the other
        wide = torch.cat([torch.zeros(1), parameter.detach().view(-1)])
        parameter.data = wide[1:].view(parameter.shape)
    own_storage(model.module)
    assert model.fingerprint() == model.origin
    for parameter in model.module.parameters():
        assert parameter.untyped_storage().nbytes() == parameter.numel() * parameter.element_size()
    assert model.head.weight is model.module.get_input_embeddings().weight
