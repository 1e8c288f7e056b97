# SPDX-License-Identifier: Apache-2.0
"""D4S: sums over the history, rebuilt from the base."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from editing_tests.library.editors.examples import ADA, BORN, PLAYS, SETTINGS, TEXTS, model_of
from kedit.editors import load_editor
from kedit.editors.d4s import D4SState
from kedit.facts import Fact
from kedit.models import LanguageModel
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


def test_d4s_leaves_the_state_it_was_given() -> None:
    model = model_of()
    _, state = run_d4s(model, [BORN])
    before = {layer: matrix.clone() for layer, matrix in state.gram.items()}
    load_editor("d4s", SETTINGS["d4s"]).edit(model, [ADA], state)
    assert state.count == 1 and all(torch.equal(state.gram[layer], before[layer]) for layer in before)
