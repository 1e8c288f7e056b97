# SPDX-License-Identifier: Apache-2.0
"""Computing an edit changes nothing; applying it can be taken back."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from kedit.gate import Gate, capture, differences, digest, digests


@pytest.mark.editing_property("contract.pure-edit")
def test_pure_edit(gate: Gate) -> None:
    """Computing an update leaves the model bit for bit: weights, hooks, flags, modes, tokenizer, random state; and
    the session's state that was passed in (docs/writing-an-editor.md, first rule)."""
    model, (first, second) = gate.model, gate.facts.distinct(2, gate.seed)
    before = capture(model)
    update, state = gate.editor.edit(model, [first])
    changed = differences(before, capture(model))
    gate.judge("changed_aspects", len(changed), note=", ".join(changed))
    if gate.tags.sequential:
        update.apply(model)
        before, held = capture(model), digest(state)
        gate.editor.edit(model, [second], state)
        changed = differences(before, capture(model)) + ["state"] * (digest(state) != held)
        gate.judge("changed_aspects", len(changed), note=", ".join(changed))


@pytest.mark.editing_property("contract.exact-undo")
def test_exact_undo(gate: Gate) -> None:
    """Applying an update changes the weights, and its snapshot restores them bit for bit, also after a second edit
    (docs/writing-an-editor.md, second rule: from a snapshot, not by subtracting)."""
    model, facts = gate.model, gate.facts.distinct(2 if gate.tags.sequential else 1, gate.seed)
    before = capture(model)
    state, snapshots, kept = None, [], []
    for fact in facts:
        kept.append(model.fingerprint())
        update, state = gate.editor.edit(model, [fact], state)
        snapshots.append(update.apply(model))
    gate.judge("unchanged", float(gate.tags.writes_weights and model.fingerprint() == kept[0]))
    for snapshot, fingerprint in zip(reversed(snapshots), reversed(kept), strict=True):
        snapshot.restore(model)
        gate.judge("not_restored", float(model.fingerprint() != fingerprint))
    left = differences(before, capture(model))
    gate.judge("changed_aspects", len(left), note=", ".join(left))


@pytest.mark.editing_property("contract.deterministic")
def test_deterministic(gate: Gate) -> None:
    """The same call gives the same bits, also after somebody else drew random numbers (docs/writing-an-editor.md,
    third rule: everything random has its own seed)."""
    facts = gate.facts.distinct(4 if gate.tags.batch else 1, gate.seed)
    outcomes = []
    for number in range(2):
        model = gate.base.twin()
        update, _ = gate.editor.edit(model, facts)
        update.apply(model)
        found = digests(dict(model.module.named_parameters()))
        outcomes.append(found | {"the memory": digest(model.memory.tensors if model.memory else None)})
        torch.rand(number + 3)
        random.random()
        np.random.random()
    changed = differences(outcomes[0], outcomes[1])
    gate.judge("differing_weights", len(changed), note=", ".join(changed))
