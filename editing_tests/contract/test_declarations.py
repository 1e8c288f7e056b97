# SPDX-License-Identifier: Apache-2.0
"""An update is what it says it is, in memory and on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kedit.facts import Fact
from kedit.gate import Gate, answers, converted, digests, moved, single_update
from kedit.metrics import evaluate
from kedit.models.language_model import LanguageModel
from kedit.updates import lost_to_rounding


@pytest.mark.editing_property("contract.declared-changes")
def test_declared_changes(gate: Gate) -> None:
    """An update names the facts it was asked for, each of them and in their order, and applying it changes the weights
    that it declares and no others (docs/writing-an-editor.md, second rule)."""
    facts = gate.facts.distinct(3 if gate.tags.batch else 1, gate.seed)
    model = gate.model
    before = digests(model.module.state_dict())
    update, _ = gate.editor.edit(model, facts)
    update.apply(model)
    after = digests(model.module.state_dict())
    shared = {model.parameter(name).data_ptr() for name in update.changes}
    touched = sorted(
        name
        for name, tensor in model.module.state_dict().items()
        if after[name] != before.get(name) and tensor.data_ptr() not in shared
    )
    gate.judge("undeclared_weights", len(touched), note=", ".join(touched))
    wrong = sum(one != other for one, other in zip(update.facts, facts, strict=False))
    wrong += abs(len(update.facts) - len(facts))
    gate.judge("wrong_facts", wrong, note=f"asked {len(facts)}, named {len(update.facts)}")


@pytest.mark.editing_property("contract.saved-model", needs=("writes_weights",))
def test_saved_model(gate: Gate, tmp_path: Path) -> None:
    """The edited model, saved as a plain folder and loaded again, answers with the same bits: nothing of the edit is
    kept in hooks, in wrappers or beside the weights (docs/writing-an-editor.md, second rule)."""
    fact, update = single_update(gate)
    update.apply(gate.model)
    loaded = moved(gate.model, tmp_path / "edited").twin()
    differing = int((answers(loaded, [fact]) != answers(gate.model, [fact])).sum())
    gate.judge("differing_answers", differing, note="probabilities that differ in a bit")


@pytest.mark.editing_property("contract.half-precision", excludes=("needs_training",))
def test_half_precision(gate: Gate) -> None:
    """A model in bfloat16 is edited as one in float32: facts take, rounding does not swallow the update, weights keep
    their type, and undo is exact, which subtracting would not be (docs/architecture.md, contracts 2 and 6)."""
    if gate.base.weight(0).dtype != torch.bfloat16:
        gate.change_weights()
    fact, update = single_update(gate)
    model, full = converted(gate.base, torch.bfloat16), gate.model
    types = {name: parameter.dtype for name, parameter in model.module.named_parameters()}
    before = model.fingerprint()
    half, _ = gate.editor.edit(model, [fact])
    lost = lost_to_rounding(model, half)
    if lost:
        worst = max(lost, key=lambda name: lost[name])
        gate.judge("lost_share", lost[worst], note=f"of the change of {worst}")
    snapshot = half.apply(model)
    update.apply(full)
    if gate.knows:
        gap = float(prefers(model, fact)) - float(prefers(full, fact))
        gate.judge("ES_gap", gap, note="the new object is less likely than the true one")
    left = int(types != {name: parameter.dtype for name, parameter in model.module.named_parameters()})
    snapshot.restore(model)
    left += model.fingerprint() != before
    gate.judge("not_restored", left, note="a type was another, or a bit was left behind")


def prefers(model: LanguageModel, fact: Fact) -> bool:
    """Whether the new object is more likely than the true one."""
    return evaluate(model, [fact], paraphrases=False, neighborhood=False).es == 1.0
