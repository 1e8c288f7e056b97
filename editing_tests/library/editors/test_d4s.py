# SPDX-License-Identifier: Apache-2.0
"""D4S: sums over the history, rebuilt from the base."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from editing_tests.library.editors.examples import ADA, BORN, PLAYS, SETTINGS, TEXTS, model_of
from editing_tests.library.locate_then_edit.direct_history import direct
from kedit.editors import load_editor
from kedit.editors.base import EditorError
from kedit.editors.d4s import D4SState
from kedit.facts import Fact
from kedit.locate_then_edit import history
from kedit.locate_then_edit.solvers import SolveError
from kedit.models import LanguageModel
from kedit.models.scoring import score_targets
from kedit.statistics import StatisticsError, measure

pytestmark = pytest.mark.usefixtures("own_cache")


def run_d4s(model: LanguageModel, facts: list[Fact], **more: Any) -> tuple[list[Any], D4SState]:
    editor, updates = load_editor("d4s", SETTINGS["d4s"] | more), []
    state: Any = None
    for one in facts:
        update, state = editor.edit(model, [one], state)
        update.apply(model)
        updates.append(update)
    return updates, state


def whole_history(updates: list[Any], layer: int) -> Tensor:
    """The change of a layer after these calls, from the sums over all their keys and residuals."""
    solved = [update.evidence.layers[layer] for update in updates]
    keys, residuals = (torch.cat(parts, dim=1) for parts in zip(*((s.keys, s.residuals) for s in solved), strict=True))
    return direct(solved[-1].penalty(), keys, residuals)


def tensors(state: D4SState) -> list[Tensor]:
    return [
        tensor
        for one in state.history.values()
        for tensor in (one.total.factor, one.total.keys, one.residuals, one.solution)
    ]


@pytest.fixture
def short_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every third single edit folds."""
    monkeypatch.setattr(history, "PENDING", 2)


def test_d4s_rebuilds_from_the_base_and_applying_twice_changes_nothing() -> None:
    model = model_of()
    base = {layer: model.weight(layer).clone() for layer in (1, 2)}
    updates, state = run_d4s(model, [BORN, ADA, PLAYS])
    once = model.fingerprint()
    updates[-1].apply(model)
    assert model.fingerprint() == once
    assert state.count == 3
    moments = measure(model_of(), TEXTS, [1, 2])
    for layer in (1, 2):
        c = moments[layer].matrix
        c = c + 1e-4 * c.trace() / model.f * torch.eye(model.f, dtype=torch.float64)
        torch.testing.assert_close(updates[-1].evidence.layers[layer].penalty(), 0.6 * model.f * c)
        delta = whole_history(updates, layer)
        torch.testing.assert_close(model.weight(layer), (base[layer] + delta).float(), rtol=1e-6, atol=1e-7)


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
        updates, _ = run_d4s(model, [BORN, ADA], layers=[1], ground=ground)
        solved[ground] = updates[-1].evidence.layers[1].residuals
        delta = updates[-1].changes[model.weight_name(1)].delta
        torch.testing.assert_close(delta.double(), whole_history(updates, 1), rtol=1e-5, atol=1e-9)
        assert torch.equal(model.weight(1), base + delta)  # rebuilt from the base either way
    torch.testing.assert_close(solved["base"], alone.layers[1].residuals, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(solved["current"], solved["base"], rtol=1e-2, atol=1e-4)


@pytest.mark.usefixtures("short_buffers")
def test_d4s_leaves_the_state_it_was_given_and_shares_what_did_not_change() -> None:
    model, state = model_of(), None
    editor = load_editor("d4s", SETTINGS["d4s"])
    for i, one in enumerate((BORN, ADA, PLAYS, BORN)):
        before = state
        kept = [tensor.clone() for tensor in tensors(before)] if before else []
        _, state = editor.edit(model, [one], before)
        if before:
            assert before.count == i
            assert all(torch.equal(old, copy) for old, copy in zip(tensors(before), kept, strict=True))
            shared = [old is new for old, new in zip(tensors(before), tensors(state), strict=True)]
            # The second layer's buffer began half full, so that not both are folded in one call.
            assert shared == [i != 2, False, False, i != 2, i != 1, False, False, i != 1]


@pytest.mark.usefixtures("short_buffers")
def test_the_weights_are_the_base_and_the_whole_history_after_every_call() -> None:
    """Pitfall 31: nothing is counted twice, also when a fact comes twice, an update is applied twice, or keys are
    folded."""
    model, state, updates = model_of(), None, []
    base = {layer: model.weight(layer).clone() for layer in (1, 2)}
    editor = load_editor("d4s", SETTINGS["d4s"])
    for batch in ([BORN], [ADA], [BORN], [PLAYS, ADA, BORN], [ADA]):
        update, state = editor.edit(model, batch, state)
        updates.append(update)
        for _ in range(2):
            update.apply(model)
            for layer in (1, 2):
                delta = update.changes[model.weight_name(layer)].delta
                assert torch.equal(model.weight(layer), base[layer] + delta)
                whole = whole_history(updates, layer)
                assert float((delta - whole).norm() / whole.norm()) < 1e-6
    for layer, one in state.history.items():
        seen = torch.cat([update.evidence.layers[layer].keys for update in updates], dim=1)
        total = one.total.factor @ one.total.factor.T + one.total.keys @ one.total.keys.T
        penalty = updates[-1].evidence.layers[layer].penalty()
        torch.testing.assert_close(total, penalty + seen @ seen.T, rtol=1e-11, atol=1e-11)


def test_a_rank_deficient_second_moment_is_refused_before_values_are_searched_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = model_of()
    model.corpus = TEXTS[:1] * 40  # many tokens, few different keys
    monkeypatch.setattr("kedit.editors.d4s.rewrite", None)
    with pytest.raises(StatisticsError, match=r"independent tokens are missing; give a more varied corpus, or damping"):
        load_editor("d4s", SETTINGS["d4s"] | {"damping": 0.0}).edit(model, [ADA])
    with pytest.raises(SolveError, match=r"is 0\.0; it must be positive"):
        load_editor("d4s", SETTINGS["d4s"] | {"ridge": 0.0}).edit(model, [ADA])


@pytest.mark.parametrize("changed", [{"ridge": 0.7}, {"damping": 1e-3}])
def test_a_state_goes_on_with_the_penalty_it_began_with(changed: dict[str, float]) -> None:
    model = model_of()
    _, state = load_editor("d4s", SETTINGS["d4s"]).edit(model, [ADA])
    with pytest.raises(EditorError, match=r"began with ridge 0\.6 and damping 0\.0001, the settings have .* keep the"):
        load_editor("d4s", SETTINGS["d4s"] | changed).edit(model, [BORN], state)


def test_what_a_session_returns_is_the_edited_model() -> None:
    """Pitfall 32: after the last call the model that was handed in has other weights, and says the targets more."""
    model, plain = model_of("llama"), model_of("llama")
    facts = [BORN, ADA]
    run_d4s(model, facts, layers=[1], value={**SETTINGS["d4s"]["value"], "steps": 20, "kl": 0.0})
    assert model.fingerprint() != model.origin == plain.fingerprint()
    pairs = [(one.prompt.text, one.target) for one in facts]
    scores = zip(score_targets(model, pairs), score_targets(plain, pairs), strict=True)
    assert all(now.mean > before.mean for now, before in scores)
