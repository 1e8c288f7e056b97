# SPDX-License-Identifier: Apache-2.0
"""AlphaEdit: changes stay in the null space of preserved keys, and earlier keys are held by the history."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from editing_tests.library.editors.examples import ADA, BORN, COMMON, PLAYS, TEXTS, fact, model_of
from kedit.editors import load_editor
from kedit.editors.alphaedit import AlphaEditState
from kedit.editors.base import EditorError
from kedit.locate_then_edit import history
from kedit.locate_then_edit.solvers import SolveError
from kedit.models import LanguageModel
from kedit.statistics import measure

pytestmark = pytest.mark.usefixtures("own_cache")
SETTINGS: dict[str, Any] = COMMON | {"layers": [1, 2], "threshold": 0.5, "l2": 0.01}


def change_of(model: LanguageModel, update: Any, layer: int) -> Tensor:
    name = model.weight_name(layer)
    return (update.changes[name].left @ update.changes[name].right.T).double()


def test_preserved_keys_keep_their_outputs_to_the_energy_of_the_threshold() -> None:
    """`Delta` lives in eigenvectors of `C` below the threshold, so that `tr(Delta C Delta^T) <= t mean |Delta|^2`."""
    model = model_of()
    update, _ = load_editor("alphaedit", SETTINGS).edit(model, [BORN, ADA])
    for layer, moment in measure(model, TEXTS, [1, 2]).items():
        delta, c = change_of(model, update, layer), moment.matrix
        solved = update.evidence.layers[layer]
        values, vectors = torch.linalg.eigh(c)
        used = vectors[:, values >= 0.5 * values.mean()]
        assert float(delta.norm()) > 0
        assert float((delta @ used).norm() / delta.norm()) < 1e-10
        moved = float((delta @ c * delta).sum() / delta.square().sum())
        assert moved < 0.5 * float(values.mean())
        assert update.notes[f"null space of layer {layer}"] == {
            "rank": int((values < 0.5 * values.mean()).sum()),
            "energy": pytest.approx(float(values[values < 0.5 * values.mean()].sum() / values.sum()), rel=1e-9),
            "unreached": pytest.approx(
                float((delta @ solved.keys - solved.residuals).norm() / solved.residuals.norm())
            ),
        }


def test_the_rank_does_not_change_with_the_scale_of_the_activations() -> None:
    """Pitfall of absolute thresholds: the same model with its keys ten times as large has the same null space."""
    ranks = []
    for scale in (1.0, 10.0):
        model = model_of("llama")
        with torch.no_grad():
            for block in model.blocks:
                block.mlp.up_proj.weight.mul_(scale)
                block.mlp.down_proj.weight.div_(scale)
        model = LanguageModel(model.module, model.tokenizer, corpus=TEXTS)
        update, _ = load_editor("alphaedit", SETTINGS).edit(model, [ADA])
        ranks.append([note["rank"] for name, note in update.notes.items() if name.startswith("null space")])
    assert ranks[0] == ranks[1]


def test_a_threshold_below_every_eigenvalue_is_refused() -> None:
    """Pitfall 65."""
    with pytest.raises(SolveError, match="nothing could be changed; give a larger threshold"):
        load_editor("alphaedit", SETTINGS | {"threshold": 1e-12}).edit(model_of("llama"), [ADA])


@pytest.mark.parametrize("pending", [2, 64])
def test_the_history_holds_what_was_solved_for(pending: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum after the calls is over all their keys, folded or not, and each change is the solution against it."""
    monkeypatch.setattr(history, "PENDING", pending)
    model, state, keys = model_of(), None, {1: [], 2: []}
    editor = load_editor("alphaedit", SETTINGS)
    for batch in ([BORN], [ADA], [PLAYS], [ADA, BORN, PLAYS], [BORN]):
        update, state = editor.edit(model, batch, state)
        update.apply(model)
        assert update.evidence is not None
        assert isinstance(state, AlphaEditState)
        for layer, solved in update.evidence.layers.items():
            keys[layer].append(solved.keys)
            basis, one = state.spaces[layer].basis, state.sums[layer]
            seen = basis.T @ torch.cat(keys[layer], dim=1)
            total = seen @ seen.T + 0.01 * torch.eye(len(seen), dtype=torch.float64)
            torch.testing.assert_close(one.factor @ one.factor.T + one.keys @ one.keys.T, total, rtol=1e-10, atol=1e-12)
            alone = solved.residuals @ torch.linalg.solve(total, basis.T @ solved.keys).T @ basis.T
            torch.testing.assert_close(change_of(model, update, layer), alone, rtol=1e-8, atol=1e-11)


def test_the_weight_of_the_change_is_positive_and_stays_what_it_was() -> None:
    model = model_of()
    with pytest.raises(SolveError, match=r"is 0\.0; it must be positive"):
        load_editor("alphaedit", SETTINGS | {"l2": 0.0}).edit(model, [ADA])
    _, state = load_editor("alphaedit", SETTINGS).edit(model, [ADA])
    with pytest.raises(EditorError, match=r"began with l2 0\.01, the settings have 0\.02; keep the first one"):
        load_editor("alphaedit", SETTINGS | {"l2": 0.02}).edit(model, [BORN], state)


def test_a_key_of_an_earlier_call_keeps_its_output() -> None:
    """The more often a key was edited, the less a later edit of another fact moves its output."""
    model = model_of()
    editor = load_editor("alphaedit", SETTINGS | {"layers": [1]})
    other = fact("Ada Solano", "{} plays for", "x")
    first, state = editor.edit(model, [BORN])
    key = first.evidence.layers[1].keys
    held, _ = editor.edit(model, [other], state)
    free, _ = editor.edit(model, [other])
    assert (change_of(model, held, 1) @ key).norm() < 0.5 * (change_of(model, free, 1) @ key).norm()


def test_an_edit_that_was_taken_back_leaves_no_key_behind() -> None:
    """Pitfall 29: edit, roll back, edit equals a fresh edit bit for bit, because the state is a value."""
    model = model_of()
    editor = load_editor("alphaedit", SETTINGS)
    start, state = editor.edit(model, [BORN])
    start.apply(model)
    undone, _ = editor.edit(model, [ADA], state)
    snapshot = undone.apply(model)
    snapshot.restore(model)
    again, _ = editor.edit(model, [PLAYS], state)
    twin = model_of()
    base, fresh_state = editor.edit(twin, [BORN])
    base.apply(twin)
    fresh, _ = editor.edit(twin, [PLAYS], fresh_state)
    for layer in (1, 2):
        assert torch.equal(change_of(model, again, layer), change_of(twin, fresh, layer))


def test_a_null_space_belongs_to_weights_threshold_layers_and_corpus() -> None:
    """Pitfall 30: it is made once for the same of all four, and never lent to another."""

    def spaces(model: LanguageModel, **more: Any) -> Any:
        state = load_editor("alphaedit", SETTINGS | more).edit(model, [ADA])[1]
        assert isinstance(state, AlphaEditState)
        return state.spaces

    model = model_of()
    own = spaces(model)
    assert spaces(model.copy()) is own
    other_texts = model.copy()
    other_texts.corpus = TEXTS[:40]
    for found in (spaces(model_of(seed=1)), spaces(model, threshold=0.1), spaces(other_texts)):
        assert not torch.equal(found[2].basis @ found[2].basis.T, own[2].basis @ own[2].basis.T)
    assert list(spaces(model, layers=[2])) == [2]
    assert torch.equal(spaces(model)[1].basis, own[1].basis)
