# SPDX-License-Identifier: Apache-2.0
"""Factors of gradients: together they are the gradient, each fact's are its own, and reading leaves nothing behind."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from editing_tests.library.random_models import FAMILIES, random_model
from editing_tests.library.random_networks import LAYERS, some_facts
from kedit.gate import capture, differences
from kedit.hypernetworks import mlp_matrices, read_factors


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("budget", [2048, 20])
def test_outer_products_of_the_factors_sum_to_the_gradient(family: str, budget: int) -> None:
    """Against autograd on each sentence alone, with labels found by tokenising prompt and sentence."""
    model, facts = random_model(family), some_facts(3)
    matrices = mlp_matrices(model, LAYERS)
    weights = [model.parameter(name).requires_grad_(True) for name in matrices]
    for fact in facts:
        ids = torch.tensor(model.tokenizer(f"{fact.prompt.text} {fact.target}")["input_ids"])
        start = len(model.tokenizer(fact.prompt.text)["input_ids"])
        logits = model.module(input_ids=ids[None]).logits[0]
        cross_entropy(logits[start - 1 : -1], ids[start:]).backward()
    expected = {name: weight.grad for name, weight in zip(matrices, weights, strict=True)}
    with model.frozen():
        found = read_factors(model, facts, matrices, batch_tokens=budget)
    for name, shape in matrices.items():
        summed = found[name].gradients.T @ found[name].inputs
        assert summed.shape == shape
        stored = expected[name]
        assert stored is not None and bool(stored.any())
        wanted = stored.T if model.is_transposed(name) else stored
        torch.testing.assert_close(summed, wanted, rtol=1e-4, atol=1e-5 * float(wanted.abs().max()))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_facts_factors_do_not_depend_on_its_company(family: str) -> None:
    model, facts = random_model(family), some_facts(7)
    names = list(mlp_matrices(model, LAYERS))
    with model.frozen():
        together = read_factors(model, facts, names, batch_tokens=40)
        alone = [read_factors(model, [fact], names) for fact in facts]
    for name in names:
        assert together[name].fact.tolist() == sorted(together[name].fact.tolist())
        for number, own in enumerate(alone):
            mine = together[name].fact == number
            torch.testing.assert_close(together[name].inputs[mine], own[name].inputs, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(together[name].gradients[mine], own[name].gradients, rtol=1e-4, atol=1e-6)


def test_tokens_without_a_gradient_are_left_out() -> None:
    """After the last block only the tokens that predict the target matter; padding never does."""
    model, facts = random_model("gpt2"), some_facts(2)
    last = model.weight_name(model.n_blocks - 1)
    with model.frozen():
        found = read_factors(model, facts, [last])[last]
    full = [model.tokenizer(f"{fact.prompt.text} {fact.target}")["input_ids"] for fact in facts]
    prompts = [model.tokenizer(fact.prompt.text)["input_ids"] for fact in facts]
    expected = [len(ids) - len(prompt) for ids, prompt in zip(full, prompts, strict=True)]
    assert found.fact.bincount().tolist() == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_reading_factors_leaves_nothing_behind(family: str) -> None:
    model = random_model(family)
    before = capture(model)
    with model.frozen():
        read_factors(model, some_facts(2), mlp_matrices(model, LAYERS))
    assert differences(before, capture(model)) == []


def test_the_mlp_matrices_of_a_family_are_all_there_is() -> None:
    """Every weight under the MLP of the asked blocks, biases excluded, in math orientation."""
    for family in FAMILIES:
        model = random_model(family)
        inside = {
            f"{model.architecture.blocks}.1.mlp.{name}"
            for name, parameter in model.blocks[1].get_submodule("mlp").named_parameters()
            if parameter.dim() == 2
        }
        found = mlp_matrices(model, [1])
        assert set(found) == inside
        assert found[model.weight_name(1)] == (model.d, model.f)
        assert {shape for name, shape in found.items() if name != model.weight_name(1)} == {(model.f, model.d)}
