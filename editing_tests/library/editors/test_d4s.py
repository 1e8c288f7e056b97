# SPDX-License-Identifier: Apache-2.0
"""D4S: sums over the history, rebuilt from the base."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from editing_tests.library.editors.examples import ADA, BORN, PLAYS, SETTINGS, TEXTS, model_of
from kedit.editors import load_editor
from kedit.editors.d4s import D4SState
from kedit.facts import Fact
from kedit.locate_then_edit.solvers import history
from kedit.models import LanguageModel
from kedit.models.scoring import score_targets
from kedit.statistics import measure

pytestmark = pytest.mark.usefixtures("own_cache")


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


def test_the_ground_is_the_base_or_what_the_model_is_now() -> None:
    """On one layer: the second edit is worked out on the unedited model, or on the edited one."""
    solved, alone = {}, load_editor("d4s", SETTINGS["d4s"] | {"layers": [1]}).edit(model_of(), [ADA])[0].evidence
    for ground in ("base", "current"):
        model = model_of()
        base = model.weight(1).clone()
        update, state = run_d4s(model, [BORN, ADA], layers=[1], ground=ground)
        solved[ground] = update.evidence.layers[1].residuals
        moment = measure(model_of(), TEXTS, [1])[1].damped(1e-4)
        delta = history(0.6 * model.f * moment, state.cross[1], state.gram[1])
        assert torch.equal(model.weight(1), base + delta.float())  # rebuilt from the base either way
    torch.testing.assert_close(solved["base"], alone.layers[1].residuals, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(solved["current"], solved["base"], rtol=1e-2, atol=1e-4)


def test_d4s_leaves_the_state_it_was_given() -> None:
    model = model_of()
    _, state = run_d4s(model, [BORN])
    before = {layer: matrix.clone() for layer, matrix in state.gram.items()}
    load_editor("d4s", SETTINGS["d4s"]).edit(model, [ADA], state)
    assert state.count == 1 and all(torch.equal(state.gram[layer], before[layer]) for layer in before)


def test_the_weights_are_the_base_and_the_whole_history_after_every_call() -> None:
    """Pitfall 31, exactly: nothing is counted twice, also when a fact comes twice or an update is applied twice."""
    model, state = model_of(), None
    moments = measure(model_of(), TEXTS, [1, 2])
    base = {layer: model.weight(layer).clone() for layer in (1, 2)}
    keys: dict[int, list[Tensor]] = {1: [], 2: []}
    editor = load_editor("d4s", SETTINGS["d4s"])
    for one in (BORN, ADA, BORN):
        update, state = editor.edit(model, [one], state)
        for _ in range(2):
            update.apply(model)
            for layer in (1, 2):
                penalty = moments[layer].penalty(1e-4, 0.6 * model.f)
                delta = history(penalty, state.cross[layer], state.gram[layer])
                assert torch.equal(model.weight(layer), base[layer] + delta.float())
        for layer, solved in update.evidence.layers.items():
            keys[layer].append(solved.keys)
            seen = torch.cat(keys[layer], dim=1)
            torch.testing.assert_close(state.gram[layer], seen @ seen.T, rtol=1e-12, atol=0)


def test_what_a_session_returns_is_the_edited_model() -> None:
    """Pitfall 32: after the last call the model that was handed in has other weights, and says the targets more."""
    model, plain = model_of("llama"), model_of("llama")
    facts = [BORN, ADA]
    run_d4s(model, facts, layers=[1], value={**SETTINGS["d4s"]["value"], "steps": 20, "kl": 0.0})
    assert model.fingerprint() != model.origin == plain.fingerprint()
    pairs = [(one.prompt.text, one.target) for one in facts]
    scores = zip(score_targets(model, pairs), score_targets(plain, pairs), strict=True)
    assert all(now.mean > before.mean for now, before in scores)
