# SPDX-License-Identifier: Apache-2.0
"""Training of hypernetworks: it learns, resumed equals uninterrupted, and edits of a step are the edits that apply."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from editing_tests.library.random_models import FAMILIES, random_model
from editing_tests.library.random_networks import LAYERS, random_network, some_facts
from kedit.editors.mend import edit_matrices
from kedit.gate import capture, differences
from kedit.hypernetworks import HypernetworkError
from kedit.hypernetworks.objective import Example, edited_rows, losses
from kedit.hypernetworks.training import Recipe, Trained, train
from kedit.models import LanguageModel
from kedit.models.activations import run
from kedit.models.scoring import score_targets
from kedit.models.tokens import Text, collate, encode
from kedit.updates import Update, base_of

RECIPE = Recipe(layers=LAYERS, rank=3, steps=6, validate_every=2, learning_rate=1e-2, rate_learning_rate=1e-3, seed=4)
FACTS = some_facts(12)


class Stop(Exception):
    """Stands for an interruption."""


def example(number: int) -> Example:
    fact, other = FACTS[number % len(FACTS)], FACTS[(number + 1) % len(FACTS)]
    return Example(fact, (fact.prompt.text, f"Yes, {fact.prompt.text}"), (f"{other.prompt.text} there",))


def draw(step: int) -> list[Example]:
    return [example(2 * step), example(2 * step + 1)]


def run_training(model: LanguageModel, folder: Path, recipe: Recipe = RECIPE, stop: int = 0) -> Trained:
    def interrupt(step: int) -> None:
        if step == stop:
            raise Stop

    path = folder / "checkpoint.safetensors"
    return train(model, recipe, draw, [example(9), example(10)], path, checkpoint_every=1, on_checkpoint=interrupt)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path: Path, family: str) -> None:
    model = random_model(family)
    whole = run_training(model, tmp_path / "whole")
    for stop in (3, 5, 6):  # between two validations, and when all is done
        with pytest.raises(Stop):
            run_training(model, tmp_path / "cut", stop=stop)
    resumed = run_training(model, tmp_path / "cut")
    assert (whole.step, whole.best_step, whole.best_loss) == (resumed.step, resumed.best_step, resumed.best_loss)
    for one, other in ((whole.network.state_dict(), resumed.network.state_dict()), (whole.best, resumed.best)):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_training_lowers_the_loss_and_keeps_the_best(tmp_path: Path) -> None:
    model = random_model("gpt2")
    before = capture(model)
    trained = run_training(model, tmp_path, replace(RECIPE, steps=40, edit_weight=1.0, locality_weight=0.1))
    assert differences(before, capture(model)) == []
    with torch.no_grad(), model.frozen():
        found = losses(trained.best_network(), model, [example(9), example(10)], observe=False)
        start = losses(random_network(model, rate=1e-9), model, [example(9), example(10)], observe=False)
    total = float(found.edit) + 0.1 * float(found.locality)
    assert total == pytest.approx(trained.best_loss, rel=1e-5)
    assert total < 0.8 * float(start.edit)


def test_a_checkpoint_of_another_recipe_or_model_is_refused(tmp_path: Path) -> None:
    run_training(random_model("gpt2"), tmp_path)
    with pytest.raises(HypernetworkError, match="checkpoint of another recipe or model"):
        run_training(random_model("gpt2"), tmp_path, replace(RECIPE, seed=5))
    with pytest.raises(HypernetworkError, match="checkpoint of another recipe or model"):
        run_training(random_model("gpt2", seed=1), tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(HypernetworkError, match="damaged checkpoint"):
        run_training(random_model("gpt2"), tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_of_a_step_run_with_the_weights_that_their_edit_would_write(family: str) -> None:
    model, facts = random_model(family), FACTS[:3]
    network = random_network(model, rate=0.02)
    texts = [Text(fact.prompt, fact.target) for fact in facts]
    rows = encode(model.tokenizer, texts)
    batch = collate(rows)
    alone = [edit_matrices(network, model, [fact]) for fact in facts]
    width = max(change.left.shape[1] for changes in alone for change in changes.values())

    def padded(matrix: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(matrix.T, (0, 0, 0, width - matrix.shape[1]))

    edits = {
        name: (
            torch.stack([padded(changes[name].left) for changes in alone]),
            torch.stack([padded(changes[name].right) for changes in alone]),
        )
        for name in network.matrices
    }
    with torch.no_grad(), model.frozen():
        plain = run(model, batch, use_cache=False).last_hidden_state
        with edited_rows(model, edits, [0, 1, 2]):
            together = run(model, batch, use_cache=False).last_hidden_state
    for number, changes in enumerate(alone):
        snapshot = Update(changes, base_of(model, changes)).apply(model)
        with torch.no_grad():
            expected = run(model, batch, use_cache=False).last_hidden_state[number]
        snapshot.restore(model)
        real = batch.mask[number].bool()
        torch.testing.assert_close(together[number][real], expected[real], rtol=1e-3, atol=1e-4)
        assert float((plain[number][real] - expected[real]).abs().max()) > 1e-2


def test_the_edit_loss_is_that_of_the_edited_model() -> None:
    """Against the scores of a model whose weights were really edited, fact by fact."""
    model = random_model("llama")
    network = random_network(model, rate=0.02)
    examples = [example(0), example(4)]
    nll = []
    for one in examples:
        changes = edit_matrices(network, model, [one.fact])
        snapshot = Update(changes, base_of(model, changes)).apply(model)
        nll += [-scored.mean for scored in score_targets(model, [(text, one.fact.target) for text in one.outer])]
        snapshot.restore(model)
    with torch.no_grad(), model.frozen():
        found = losses(network, model, examples, observe=False)
        nothing = losses(random_network(model, rate=0.0), model, examples, observe=False)
    assert float(found.edit) == pytest.approx(sum(nll) / len(nll), rel=1e-4)
    assert float(found.locality) > 1e-3 > 1e-6 > abs(float(nothing.locality))


def test_only_observing_moves_the_statistics() -> None:
    model = random_model("gpt2")
    network = random_network(model)
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with torch.no_grad(), model.frozen():
        losses(network, model, [example(0)], observe=False)
        assert all(torch.equal(buffer, before[name]) for name, buffer in network.named_buffers())
        losses(network, model, [example(0)], observe=True)
    assert not any(torch.equal(buffer, before[name]) for name, buffer in network.named_buffers())
