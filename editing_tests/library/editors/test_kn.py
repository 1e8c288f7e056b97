# SPDX-License-Identifier: Apache-2.0
"""KN: attributions are complete and those of the old answer, and only the chosen columns move."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from editing_tests.library.random_models import random_model
from kedit.editors import EditorError, load_editor
from kedit.editors.kn import KnSettings, select
from kedit.facts import Fact, FactError, Prompt
from kedit.models import LanguageModel
from kedit.models.activations import Site, read, run
from kedit.models.attributions import Attributions, attribute_neurons
from kedit.models.interventions import overwriting
from kedit.models.tokens import Row, Text, collate, encode
from kedit.updates import LowRank

FAMILIES = ("gpt2", "gptj", "llama", "qwen2")
SETTINGS: dict[str, Any] = {"old_weight": 1.0, "new_weight": 8.0, "steps": 10, "contexts": {"count": 2, "length": 5}}


def fact(subject: str, template: str, target: str, true: str = "Peru") -> Fact:
    return Fact(Prompt.from_template(template, subject), target, true, id=f"{subject} {target}")


BORN, ADA = fact("Mira Solano", "{} was born in", "Spain"), fact("Ada", "{} lives in", "2012", "Głogów")


def rows_of(model: LanguageModel, one: Fact) -> list[Row]:
    return encode(model.tokenizer, [Text(one.prompt, one.true, context) for context in ("", "The river. ")])


def probability(model: LanguageModel, row: Row, layer: int, neurons: Tensor) -> Tensor:
    """By hand: a whole forward pass with the layer's neurons at the prompt's last token put to `neurons` `(f,)`."""
    batch = collate([row.cut(len(row.ids) - 1)])
    with overwriting(model, Site("key", layer), batch, [row.target_start - 1], neurons[None]):
        states = run(model, batch, use_cache=False).last_hidden_state[0, row.target_start - 1 :]
    spoken = torch.softmax(model.head(states), -1)
    return spoken.gather(1, torch.tensor(row.target_ids)[:, None]).mean()


def neurons_of(model: LanguageModel, row: Row, layer: int) -> Tensor:
    site = Site("key", layer)
    return read(model, [row], [row.target_start - 1], [site])[site][0]


@pytest.mark.parametrize("family", FAMILIES)
def test_attributions_are_complete(family: str) -> None:
    model = random_model(family)
    rows = rows_of(model, ADA)
    found = attribute_neurons(model, rows, 200)
    assert found.gap < 1e-2 * float(found.expected.abs().max())
    for i, row in enumerate(rows):
        for layer in range(model.n_blocks):
            neurons = neurons_of(model, row, layer)
            with torch.no_grad():
                change = probability(model, row, layer, neurons) - probability(model, row, layer, 0 * neurons)
            assert float(found.expected[i, layer]) == pytest.approx(float(change), rel=1e-3, abs=1e-8)
            assert float(found.scores[i, layer].sum()) == pytest.approx(float(change), rel=2e-2, abs=1e-7)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_score_is_the_mean_slope_along_the_path_times_the_activation(family: str) -> None:
    model = random_model(family)
    (row, _) = rows_of(model, ADA)
    found = attribute_neurons(model, [row], 3)
    for layer in range(model.n_blocks):
        neurons, slope = neurons_of(model, row, layer), torch.zeros(model.f)
        for root in (1 / 6, 3 / 6, 5 / 6):  # midpoints of u, with alpha = u^2 and so d alpha = 2 u du
            point = (root**2 * neurons).requires_grad_(True)
            slope += torch.autograd.grad(probability(model, row, layer, point), [point])[0] * 2 * root / 3
        expected = neurons * slope
        torch.testing.assert_close(found.scores[0, layer], expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_what_is_far_from_complete_takes_more_steps_and_then_is_refused() -> None:
    model = random_model("gpt2")
    for name, parameter in model.module.named_parameters():
        if "ln_f" in name:
            parameter.data.mul_(30.0)  # a peaked model, whose path bends sharply
    rows = rows_of(model, ADA)
    coarse = attribute_neurons(model, rows, 1)
    fine = attribute_neurons(model, rows, 1, tolerance=coarse.gap / 10, most_steps=512)
    assert (coarse.steps, fine.gap <= coarse.gap / 10) == (1, True) and fine.steps > 1
    exact = attribute_neurons(model, rows, fine.steps)
    easy = (coarse.found - coarse.expected).abs() <= coarse.gap / 10
    assert torch.equal(fine.scores[easy], coarse.scores[easy]) and easy.any()
    hardest = divmod(int((coarse.found - coarse.expected).abs().argmax()), model.n_blocks)
    torch.testing.assert_close(fine.scores[hardest], exact.scores[hardest], rtol=1e-4, atol=1e-7)
    editor = load_editor("kn", SETTINGS | {"steps": 1, "most_steps": 1, "tolerance": 0.0})
    with pytest.raises(EditorError, match=r"fact 'Ada 2012' miss .* after 1 steps; raise 'most_steps' to take more"):
        editor.edit(model, [ADA])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("embedding", "tokens"), [("output", "first"), ("input", "all")])
def test_only_the_chosen_columns_move_by_the_embeddings_of_what_the_model_would_emit(
    family: str, embedding: str, tokens: str
) -> None:
    """Token ids are those that follow the prompt in the whole sentence: with the blank, without a start token."""
    model = random_model(family)
    before = {layer: model.weight(layer).clone() for layer in range(model.n_blocks)}
    table = model.head if embedding == "output" else model.module.get_input_embeddings()
    ids = {}
    for answer in (ADA.target, ADA.true):
        start = len(model.tokenizer(ADA.prompt.text)["input_ids"])
        ids[answer] = model.tokenizer(f"{ADA.prompt.text} {answer}")["input_ids"][start:]
        if tokens == "first":
            ids[answer] = ids[answer][:1]
    new, old = (table.weight.detach()[ids[answer]].sum(0) for answer in (ADA.target, ADA.true))
    update, _ = load_editor("kn", SETTINGS | {"embedding": embedding, "tokens": tokens}).edit(model, [ADA])
    fingerprint = model.fingerprint()
    snapshot = update.apply(model)
    assert update.notes["neurons"] and update.notes["completeness_gap"] < 0.05
    for layer, weight in before.items():
        chosen = update.notes["neurons"].get(layer, [])
        others = [i for i in range(model.f) if i not in chosen]
        moved = model.weight(layer) - weight
        assert torch.equal(model.weight(layer)[:, others], weight[:, others])
        torch.testing.assert_close(
            moved[:, chosen], (8 * new - old)[:, None].expand(-1, len(chosen)), rtol=1e-4, atol=1e-5
        )
        assert (model.weight_name(layer) in update.changes) is bool(chosen)
    snapshot.restore(model)
    assert model.fingerprint() == fingerprint == model.origin


def test_the_old_answer_decides_which_neurons() -> None:
    model = random_model("gpt2")
    editor = load_editor("kn", SETTINGS)
    one, same, other = (
        editor.edit(model, [fact("Ada", "{} lives in", target, true)])[0].notes["neurons"]
        for target, true in (("2012", "Głogów"), ("Spain", "Głogów"), ("2012", "Peru"))
    )
    assert one == same != other


def attributions(*prompts: list[float]) -> Attributions:
    scores = torch.tensor(prompts).view(len(prompts), 2, -1)
    return Attributions(scores, scores.sum(2), scores.sum(2), 1)


def chosen(found: Attributions, **settings: Any) -> tuple[list[list[int]], float]:
    layers, share = select(found, KnSettings(old_weight=1.0, new_weight=8.0, **settings))
    return [layer.tolist() for layer in layers], share


def test_neurons_pass_a_share_of_the_largest_attribution_in_any_layer() -> None:
    one = attributions([0.1, 0.25, -2.0, 1.0, 0.2, 0.3])
    assert chosen(one, fewest=1) == ([[1], [0, 2]], 0.7)
    assert chosen(one, fewest=1, threshold=0.9) == ([[], [0]], 0.7)


def test_the_share_of_prompts_falls_and_rises_until_the_number_fits() -> None:
    # Found by all four, three, two, one and none of the prompts.
    shares = [[1.0, 1.0, 1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0, 0, 0], [1.0, 1.0, 0, 0, 0, 0], [1.0, 0, 0, 0, 0, 0]]
    found = attributions(*shares)
    assert chosen(found, fewest=1) == ([[0, 1], []], 0.7)
    assert chosen(found, fewest=3) == ([[0, 1, 2], []], 0.5)
    assert chosen(found, fewest=4)[0] == [[0, 1, 2], [0]]
    assert chosen(found, fewest=5)[0] == [[0, 1, 2], [0]]
    assert chosen(found, fewest=1, most=1) == ([[0], []], 0.8)


def test_no_positive_attribution_is_no_neuron() -> None:
    assert chosen(attributions([-1.0, 0, 0, 0, -0.5, 0]))[0] == [[], []]


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"steps": 0}, "kn: steps is 0, expected at least 1"), ({"steps": 2.5}, "kn: steps is 2.5, expected int")],
)
def test_steps_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(EditorError, match=message):
        load_editor("kn", settings)


def test_what_kn_cannot_edit_is_refused_by_name() -> None:
    model, editor = random_model("gpt2"), load_editor("kn", SETTINGS)
    with pytest.raises(EditorError, match="one fact a call and got 2"):
        editor.edit(model, [BORN, ADA])
    with pytest.raises(FactError, match="fact 'Ada 2012': field 'true' is empty; kn looks for the neurons"):
        editor.edit(model, [fact("Ada", "{} lives in", "2012", "")])


def test_contexts_come_from_the_session() -> None:
    model, editor = random_model("gpt2"), load_editor("kn", SETTINGS)
    update, state = editor.edit(model, [ADA])
    update.apply(model)
    again, after = editor.edit(model, [BORN], state)
    assert after is state and len(state.contexts) == 3
    assert all(isinstance(change, LowRank) for change in again.changes.values())
