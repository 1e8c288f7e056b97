# SPDX-License-Identifier: Apache-2.0
"""MEND as an editor: edits repeat, add up over a batch, go downhill, and want weights that fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from editing_tests.library.random_models import TINY, random_model
from editing_tests.library.random_networks import LAYERS, random_network, some_facts, weights_file
from kedit.editors import EditorError, load_editor
from kedit.editors.mend import edit_matrices
from kedit.hypernetworks import HyperNetwork, mlp_matrices
from kedit.hypernetworks.storage import find, load, read_card, save
from kedit.models import LanguageModel
from kedit.models.scoring import score_targets
from kedit.paths import fixtures_dir
from kedit.updates import Update

FAMILIES = ["gpt2", "gptj", "llama", "qwen2"]


def deltas(model: LanguageModel, update: Update) -> dict[str, torch.Tensor]:
    """The change of every edited matrix, `(d_out, f_in)`."""
    shapes = mlp_matrices(model, LAYERS)
    return {name: change.new_weight(torch.zeros(shapes[name])) for name, change in update.changes.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_two_identical_calls_give_identical_updates(tmp_path: Path, family: str) -> None:
    """Also with another edit between them, and the file stays as it is: statistics are not those of the edits."""
    model, path = random_model(family), weights_file(random_model(family), tmp_path)
    stored = path.read_bytes()
    editor = load_editor("mend", {"weights": str(path)})
    first, second = some_facts(2)
    once, _ = editor.edit(model, [first])
    editor.edit(model, [second])
    twice, _ = editor.edit(model, [first])
    one, other = deltas(model, once), deltas(model, twice)
    assert set(one) == set(mlp_matrices(model, LAYERS))
    assert all(torch.equal(one[name], other[name]) and bool(one[name].any()) for name in one)
    assert path.read_bytes() == stored


def test_editing_leaves_the_network_as_it_is() -> None:
    model = random_model("gpt2")
    network = random_network(model)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first, second = (edit_matrices(network, model, some_facts(3)) for _ in range(2))
    for name in network.matrices:
        assert torch.equal(first[name].left, second[name].left)
        assert torch.equal(first[name].right, second[name].right)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_129_facts_are_128_and_one(tmp_path: Path, family: str) -> None:
    model, facts = random_model(family), some_facts(129)
    editor = load_editor("mend", {"weights": str(weights_file(model, tmp_path))})
    together, most, last = (deltas(model, editor.edit(model, part)[0]) for part in (facts, facts[:128], facts[128:]))
    for name, whole in together.items():
        torch.testing.assert_close(whole, most[name] + last[name], rtol=1e-4, atol=1e-5 * float(whole.abs().max()))
        assert float(last[name].abs().max()) > 1e-4 * float(whole.abs().max())


@pytest.mark.parametrize("family", FAMILIES)
def test_an_untrained_network_goes_downhill(tmp_path: Path, family: str) -> None:
    """The paper subtracts: without statistics and training, an edit is a step along the negative gradient."""
    model, (fact,) = random_model(family), some_facts(1)
    path = tmp_path / "untrained.safetensors"
    save(path, HyperNetwork(mlp_matrices(model, LAYERS), rank=2, rate=1e-2), origin=model.origin, card={})
    pair = (fact.prompt.text, fact.target)
    (before,) = score_targets(model, [pair])
    load_editor("mend", {"weights": str(path)}).edit(model, [fact])[0].apply(model)
    (after,) = score_targets(model, [pair])
    assert after.mean > before.mean


def test_an_edited_model_may_be_edited_again(tmp_path: Path) -> None:
    model = random_model("gpt2")
    editor = load_editor("mend", {"weights": str(weights_file(model, tmp_path))})
    first, second = some_facts(2)
    update, state = editor.edit(model, [first])
    update.apply(model)
    again, _ = editor.edit(model, [second], state)
    again.apply(model)
    assert model.fingerprint() != model.origin


def test_missing_weights_are_named_with_the_command_that_makes_them(tmp_path: Path) -> None:
    model = random_model("gpt2")
    with pytest.raises(EditorError) as caught:
        load_editor("mend").edit(model, some_facts(1))
    for part in (model.name, model.origin[:12], "python -m kedit.worlds train-mend --model", "setting 'weights'"):
        assert part in str(caught.value)
    with pytest.raises(EditorError, match=r"gone.safetensors cannot be read.*kedit.worlds train-mend"):
        load_editor("mend", {"weights": str(tmp_path / "gone.safetensors")}).edit(model, some_facts(1))


def test_the_weights_of_another_model_are_refused_by_name(tmp_path: Path) -> None:
    path = weights_file(random_model("gpt2", seed=1), tmp_path)
    with pytest.raises(EditorError, match=r"weights.safetensors was trained for random gpt2 with the fingerprint"):
        load_editor("mend", {"weights": str(path)}).edit(random_model("gpt2"), some_facts(1))


@pytest.mark.parametrize("name", TINY)
def test_every_tiny_model_has_weights_with_a_card(name: str) -> None:
    model = LanguageModel.from_pretrained(fixtures_dir() / "models" / name)
    path = find(fixtures_dir() / "mend", model.origin)
    assert path is not None
    card = read_card(path)
    assert card["model"] == name
    blocks = model.n_blocks
    assert load(path, model).matrices == mlp_matrices(model, range(blocks - 3, blocks))
    # Single edits take, on subjects that the training never saw too.
    for found in card["measured"].values():
        assert found["ES"] > 0.8


def test_the_weights_together_stay_small() -> None:
    files = list((fixtures_dir() / "mend").glob("*.safetensors"))
    assert len(files) == len(TINY)
    assert sum(path.stat().st_size for path in files) < 8_000_000
