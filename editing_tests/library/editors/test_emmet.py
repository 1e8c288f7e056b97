# SPDX-License-Identifier: Apache-2.0
"""EMMET: exact constraints, and MEMIT with slack."""

from __future__ import annotations

import pytest
import torch

from editing_tests.library.editors.examples import ADA, BORN, PLAYS, SETTINGS, model_of
from kedit.editors import load_editor

pytestmark = pytest.mark.usefixtures("own_cache")


def test_emmet_meets_its_constraints_and_with_slack_it_is_memit() -> None:
    """Pitfall 34: without slack `Delta K = R` for one fact and for several; with it, MEMIT of lambda = alpha slack."""
    model = model_of()
    for facts in ([ADA], [BORN, ADA]):
        update, _ = load_editor("emmet", SETTINGS["emmet"]).edit(model, facts)
        assert update.evidence is not None
        layer, change = update.evidence.layers[1], update.changes[model.weight_name(1)]
        moved = (change.new_weight(model.weight(1)) - model.weight(1)).double() @ layer.keys
        torch.testing.assert_close(moved, layer.residuals, rtol=1e-4, atol=1e-4)
        assert update.notes[f"independent constraints of {len(facts)} in layer 1"] == len(facts)
    slack = {"alpha": 2.0, "slack": 0.05 * model.f / 2.0}
    facts = [BORN, ADA, PLAYS]
    one, _ = load_editor("emmet", SETTINGS["emmet"] | slack).edit(model, facts)
    other, _ = load_editor("memit", SETTINGS["memit"] | {"layers": [1]}).edit(model, facts)
    weights = [update.changes[model.weight_name(1)].new_weight(model.weight(1)) for update in (one, other)]
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-6, atol=1e-7)


def test_emmet_counts_facts_of_one_key_as_one_constraint() -> None:
    model = model_of()
    update, _ = load_editor("emmet", SETTINGS["emmet"]).edit(model, [BORN, PLAYS, ADA])
    assert update.notes["independent constraints of 3 in layer 1"] == 2
    assert update.evidence is not None
    layer = update.evidence.layers[1]
    moved = (update.changes[model.weight_name(1)].new_weight(model.weight(1)) - model.weight(1)).double() @ layer.keys
    torch.testing.assert_close(moved[:, 0], layer.residuals[:, :2].mean(1), rtol=1e-4, atol=1e-4)
