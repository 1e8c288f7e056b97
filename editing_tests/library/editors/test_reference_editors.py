# SPDX-License-Identifier: Apache-2.0
"""One independent check a method, on random models: what its formula promises holds on the edited weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from editing_tests.library.random_models import random_model
from kedit.editors import EditorError, editor_names, load_editor
from kedit.editors.d4s import D4SState
from kedit.facts import Fact, FactError, Prompt
from kedit.locate_then_edit.contexts import ContextConfig, sample_contexts
from kedit.locate_then_edit.keys import SubjectReader
from kedit.models import LanguageModel
from kedit.models.activations import Site
from kedit.statistics import measure

TEXTS = tuple(f"Mira Solano number {i} lives in the {i}th house of the town" for i in range(60))
VALUE = {"steps": 4, "lr": 0.05, "clamp": 2.0, "stop": 1e-6, "keep": "last"}
COMMON: dict[str, Any] = {"value": VALUE, "contexts": {"count": 2, "length": 5}}
SETTINGS: dict[str, dict[str, Any]] = {
    "rome": COMMON | {"layer": 1},
    "memit": COMMON | {"layers": [1, 2], "ridge": 0.05},
    "memit-merge": COMMON | {"layers": [1, 2], "ridge": 0.05},
    "d4s": COMMON | {"layers": [1, 2], "ridge": 0.6},
    "ft-l": {"layer": 1, "epsilon": 1e-3, "lr": 5e-3, "steps": 5},
    "kn": {"old_weight": 1.0, "new_weight": 8.0, "steps": 4, "contexts": {"count": 2, "length": 5}},
    "grace": {"layer": 1, "steps": 4},
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDIT_CACHE", str(tmp_path))


def model_of(family: str = "gpt2", **options: Any) -> LanguageModel:
    model = random_model(family, **options)
    model.corpus = TEXTS
    return model


def fact(subject: str, template: str, target: str) -> Fact:
    return Fact(Prompt.from_template(template, subject), target, "the old one", id=f"{subject} {target}")


BORN, PLAYS = fact("Mira Solano", "{} was born in", "Spain"), fact("Mira Solano", "{} plays for", "Głogów")
ADA = fact("Ada", "{} lives in", "2012")


@pytest.mark.parametrize("family", ["gpt2", "gptj", "llama", "qwen2"])
@pytest.mark.parametrize("keys", ["averaged", "mixed"])
@pytest.mark.parametrize("covariance", [True, False])
def test_rome_reaches_its_value_exactly(family: str, keys: str, covariance: bool) -> None:
    model = model_of(family)
    editor = load_editor("rome", SETTINGS["rome"] | {"keys": keys, "covariance": covariance})
    update, _ = editor.edit(model, [BORN])
    contexts = sample_contexts(model, ContextConfig(count=2, length=5))
    reader = SubjectReader(model, [BORN], contexts, "flat")
    key, value = Site("key", 1), Site("value", 1)
    update.apply(model)
    # The key is the input of the edited matrix, so the edit does not move it; only the output moves.
    sites = {"averaged": [key, value]} if keys == "averaged" else {"bare": [key, value]}
    found = reader.read(model, **sites)
    assert update.evidence is not None
    torch.testing.assert_close(found[value], update.evidence.values, rtol=1e-4, atol=1e-4)


def test_rome_refuses_a_batch() -> None:
    with pytest.raises(EditorError, match="one fact a call and got 2"):
        load_editor("rome", SETTINGS["rome"]).edit(model_of(), [BORN, ADA])


def test_a_square_weight_is_turned_by_its_class() -> None:
    """Conv1D and Linear with d = f: applying the update adds exactly `residual` at the key."""
    for family in ("gpt2", "gptj"):
        model = model_of(family, keys=16)
        editor = load_editor("memit", SETTINGS["memit"] | {"layers": [1], "ridge": 1e-9})
        before = model.weight(1).clone()
        update, _ = editor.edit(model, [ADA])
        update.apply(model)
        assert update.evidence is not None
        layer = update.evidence.layers[1]
        moved = (model.weight(1) - before).double() @ layer.keys
        torch.testing.assert_close(moved, layer.residuals, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["memit", "memit-merge"])
def test_memit_solves_its_least_squares_on_base_statistics(name: str) -> None:
    model = model_of()
    moments = measure(model, TEXTS, [1, 2])
    before = {layer: model.weight(layer).double().clone() for layer in (1, 2)}
    update, state = load_editor(name, SETTINGS[name]).edit(model, [BORN, ADA, PLAYS])
    update.apply(model)
    assert update.evidence is not None
    for layer, solved in update.evidence.layers.items():
        c = moments[layer].matrix
        c = c + 1e-4 * c.trace() / model.f * torch.eye(model.f, dtype=torch.float64)
        k, r = solved.keys, solved.residuals
        direct = r @ k.T @ torch.linalg.inv(0.05 * model.f * c + k @ k.T)
        torch.testing.assert_close(model.weight(layer).double() - before[layer], direct, rtol=1e-3, atol=1e-5)
    # The second call works on the edited weights with the second moments of the unedited ones.
    again, _ = load_editor(name, SETTINGS[name]).edit(model, [fact("Eve", "{} is", "x")], state)
    again.apply(model)


def test_memit_shares_the_residual_evenly_and_recomputes_it() -> None:
    model = model_of()
    update, _ = load_editor("memit", SETTINGS["memit"] | {"ridge": 1e-9}).edit(model, [ADA])
    assert update.evidence is not None
    contexts = ("",)
    start = SubjectReader(model, [ADA], contexts, "flat").read(model, bare=[Site("block", 2)])[Site("block", 2)]
    gap = update.evidence.values - start
    torch.testing.assert_close(update.evidence.layers[1].residuals, gap / 2, rtol=1e-4, atol=1e-5)
    with model.swapped({model.weight_name(1): update.changes[model.weight_name(1)].new_weight(model.weight(1))}):
        now = SubjectReader(model, [ADA], contexts, "flat").read(model, bare=[Site("block", 2)])[Site("block", 2)]
    torch.testing.assert_close(update.evidence.layers[2].residuals, update.evidence.values - now, rtol=1e-4, atol=1e-5)


def test_unsorted_layers_are_the_same_layers() -> None:
    one, other = (
        load_editor("memit", SETTINGS["memit"] | {"layers": layers}).edit(model_of(), [ADA])[0]
        for layers in ([1, 2], [2, 1])
    )
    assert list(one.changes) == list(other.changes)
    for name, change in one.changes.items():
        assert torch.equal(change.new_weight(torch.zeros(16, 24)), other.changes[name].new_weight(torch.zeros(16, 24)))


def test_merge_is_memit_when_all_keys_differ_and_not_when_they_are_equal() -> None:
    apart, together = [BORN, ADA], [BORN, ADA, PLAYS]
    zero = torch.zeros(16, 24)
    for facts, same in ((apart, True), (together, False)):
        plain, merged = (
            load_editor(name, SETTINGS["memit"]).edit(model_of(), facts)[0] for name in ("memit", "memit-merge")
        )
        equal = [
            torch.equal(plain.changes[n].new_weight(zero), merged.changes[n].new_weight(zero)) for n in plain.changes
        ]
        assert all(equal) is same
    assert merged.evidence is not None and merged.evidence.groups == (0, 1, 0)
    assert torch.equal(merged.evidence.values[:, 0], merged.evidence.values[:, 2])


def run_d4s(model: LanguageModel, facts: list[Fact], **more: Any) -> tuple[Any, D4SState]:
    editor = load_editor("d4s", SETTINGS["d4s"] | more)
    state: Any = None
    for one in facts:
        update, state = editor.edit(model, [one], state)
        update.apply(model)
    return update, state


def test_d4s_rebuilds_from_the_base_and_applying_twice_changes_nothing() -> None:
    model = model_of()
    base = {layer: model.weight(layer).clone() for layer in (1, 2)}
    update, state = run_d4s(model, [BORN, ADA, PLAYS])
    once = model.fingerprint()
    update.apply(model)
    assert model.fingerprint() == once
    assert state.count == 3
    moments = measure(model_of(), TEXTS, [1, 2])
    for layer in (1, 2):
        c = moments[layer].matrix
        c = c + 1e-4 * c.trace() / model.f * torch.eye(model.f, dtype=torch.float64)
        delta = state.cross[layer] @ torch.linalg.inv(0.6 * model.f * c + state.gram[layer])
        torch.testing.assert_close(model.weight(layer), (base[layer] + delta).float(), rtol=1e-4, atol=1e-5)


def test_d4s_on_one_layer_does_not_depend_on_the_order() -> None:
    ends = []
    for facts in ([BORN, ADA, PLAYS], [PLAYS, BORN, ADA]):
        model = model_of()
        run_d4s(model, facts, layers=[1])
        ends.append(model.weight(1).clone())
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-6)


def test_d4s_leaves_the_state_it_was_given() -> None:
    model = model_of()
    _, state = run_d4s(model, [BORN])
    before = {layer: matrix.clone() for layer, matrix in state.gram.items()}
    load_editor("d4s", SETTINGS["d4s"]).edit(model, [ADA], state)
    assert state.count == 1 and all(torch.equal(state.gram[layer], before[layer]) for layer in before)


@pytest.mark.parametrize("anchor", ["session", "call"])
def test_ft_l_stays_in_its_ball(anchor: str) -> None:
    model, state = model_of(), None
    start = model.weight(1).clone()
    editor = load_editor("ft-l", SETTINGS["ft-l"] | {"anchor": anchor})
    farthest = 0.0
    for one in (BORN, ADA, PLAYS):
        found = model.weight(1).clone()
        update, state = editor.edit(model, [one], state)
        update.apply(model)
        step = float((model.weight(1) - found).abs().max())
        farthest = max(farthest, float((model.weight(1) - start).abs().max()))
        assert step > 0
        assert anchor == "session" or step <= 1e-3 * (1 + 1e-3)
    # One rounding of the edge itself is all that float32 adds.
    assert farthest <= 1e-3 * (1 + 1e-3) if anchor == "session" else farthest > 1.5e-3


@pytest.mark.parametrize("n", [1, 2])
def test_ft_l_loss_is_the_mean_of_the_models_own_labelled_losses(n: int) -> None:
    """Every target token counts where it stands, and padding counts nowhere: one fact of a long target, or it and a
    shorter one together, against the model's own loss on each sentence alone."""
    model = model_of("llama")
    facts = [fact("Ada", "{} was born in the year", "2012"), fact("Mira Solano", "{} is", "x")][:n]
    weight = model.module.get_parameter(model.weight_name(1)).requires_grad_(True)
    for one in facts:
        ids = model.tokenizer(f"{one.prompt.text} {one.target}")["input_ids"]
        start = len(model.tokenizer(one.prompt.text)["input_ids"])
        labels = torch.tensor([[-100] * start + ids[start:]])
        (model.module(input_ids=torch.tensor([ids]), labels=labels).loss / n).backward()
    gradient = weight.grad
    assert gradient is not None
    weight.requires_grad_(False)
    before = model.weight(1).clone()
    editor = load_editor("ft-l", {"layer": 1, "epsilon": 1.0, "lr": 1e-3, "steps": 1})
    editor.edit(model, facts)[0].apply(model)
    clear = gradient.abs() > 1e-3
    assert clear.any()
    # Adam's first step is the sign of the gradient times the rate.
    torch.testing.assert_close((model.weight(1) - before)[clear], -1e-3 * gradient[clear].sign(), rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize("name", editor_names())
@pytest.mark.parametrize("family", ["gpt2", "gptj", "llama", "qwen2"])
def test_every_editor_leaves_the_model_when_computing_and_when_refusing(name: str, family: str) -> None:
    model = model_of(family)
    editor, before = load_editor(name, SETTINGS[name]), model.fingerprint()
    editor.edit(model, [BORN])
    assert model.fingerprint() == before
    with pytest.raises(FactError, match="field 'target' is empty; give the new object"):
        editor.edit(model, [fact("Mira Solano", "{} was born in", "")])
    assert model.fingerprint() == before


@pytest.mark.parametrize("name", ["memit", "d4s", "ft-l"])
def test_bfloat16_weights_are_rounded_once(name: str) -> None:
    model = model_of("llama", dtype=torch.bfloat16)
    update, _ = load_editor(name, SETTINGS[name]).edit(model, [ADA])
    exact = {n: c.new_weight(model.weight(int(n.split(".")[2]))) for n, c in update.changes.items()}
    snapshot = update.apply(model)
    for n, weight in exact.items():
        assert torch.equal(model.module.get_parameter(n).detach(), weight.to(torch.bfloat16))
    snapshot.restore(model)
    assert model.fingerprint() == model.origin
