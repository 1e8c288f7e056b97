# SPDX-License-Identifier: Apache-2.0
"""ROME and r-ROME: the constraint holds exactly, on the key that the settings say."""

from __future__ import annotations

import pytest
import torch

from editing_tests.library.editors.examples import ADA, BORN, SETTINGS, TEXTS, model_of
from kedit.editors import EditorError, load_editor
from kedit.locate_then_edit.contexts import ContextConfig, sample_contexts
from kedit.locate_then_edit.keys import SubjectReader
from kedit.models.activations import Site
from kedit.statistics import measure
from kedit.updates import LowRank

pytestmark = pytest.mark.usefixtures("own_cache")


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


@pytest.mark.parametrize("name", ["rome", "r-rome"])
def test_rome_refuses_a_batch(name: str) -> None:
    with pytest.raises(EditorError, match=f"{name} edits one fact a call and got 2"):
        load_editor(name, SETTINGS[name]).edit(model_of(), [BORN, ADA])


@pytest.mark.parametrize("keys", ["averaged", "bare"])
def test_r_rome_uses_one_key_and_is_the_rome_of_the_paper(keys: str) -> None:
    """Pitfall 15: the constraint holds on the key that the direction is made from, whose weight along it is 1."""
    model = model_of()
    update, _ = load_editor("r-rome", SETTINGS["r-rome"] | {"keys": keys}).edit(model, [BORN])
    change = update.changes[model.weight_name(1)]
    assert update.evidence is not None and isinstance(change, LowRank)
    key, residual = update.evidence.layers[1].keys[:, 0], update.evidence.layers[1].residuals[:, 0]
    assert float(change.right[:, 0] @ key) == pytest.approx(1, abs=1e-10)
    torch.testing.assert_close(change.left[:, 0], residual, rtol=1e-10, atol=0)
    matrix = measure(model, TEXTS, [1])[1].damped(1e-4)
    torch.testing.assert_close(
        change.right[:, 0], torch.linalg.solve(matrix, key) / (key @ torch.linalg.solve(matrix, key))
    )
    same, _ = load_editor("rome", SETTINGS["rome"] | {"keys": keys}).edit(model, [BORN])
    assert torch.equal(
        same.changes[model.weight_name(1)].new_weight(model.weight(1)), change.new_weight(model.weight(1))
    )
    with pytest.raises(EditorError, match="expected one of 'averaged', 'bare'"):
        load_editor("r-rome", {"layer": 1, "keys": "mixed"})
