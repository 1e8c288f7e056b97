# SPDX-License-Identifier: Apache-2.0
"""What fails leaves no trace, and bad facts are refused by name."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from kedit.facts import Fact, FactError, Prompt
from kedit.gate import Gate, capture, differences, interrupted


@pytest.mark.editing_property("contract.atomic-failure")
@pytest.mark.parametrize("at", ["start", "middle", "end"])
def test_interrupted_edit(gate: Gate, at: str) -> None:
    """An edit in which the model fails midway raises, and leaves everything as it was (docs/writing-an-editor.md,
    fourth rule: never half an edit)."""
    model, facts = gate.model, gate.facts.distinct(2 if gate.tags.batch else 1, gate.seed)
    gate.editor.edit(model, facts)  # whatever is computed once a process is computed now
    before = capture(model)
    with interrupted(model) as counter:
        gate.editor.edit(model, facts)
    fail_at = {"start": 0, "middle": counter.calls // 2, "end": counter.calls - 1}[at]
    swallowed = 0.0
    if counter.calls:
        with interrupted(model, fail_at):
            try:
                gate.editor.edit(model, facts)
                swallowed = 1.0
            except Exception:  # any error will do, as long as nothing is left behind
                pass
    changed = differences(before, capture(model))
    gate.judge("changed_aspects", len(changed), note=", ".join(changed))
    gate.judge("swallowed_failures", swallowed, note=f"module call {fail_at} of {counter.calls} failed")


@dataclasses.dataclass(frozen=True)
class Failing:
    """A change that cannot be computed."""

    def new_weight(self, weight: Tensor) -> Tensor:
        raise RuntimeError("injected failure")


@dataclasses.dataclass(frozen=True)
class NotFinite:
    """A change that diverged."""

    def new_weight(self, weight: Tensor) -> Tensor:
        return torch.full_like(weight, torch.nan, dtype=torch.float32)


@pytest.mark.editing_property("contract.atomic-failure", needs=("writes_weights",))
@pytest.mark.parametrize("at", ["apply-fails", "apply-diverges"])
def test_interrupted_apply(gate: Gate, at: str) -> None:
    """Applying an update whose last change fails raises before the first weight is written
    (docs/writing-an-editor.md, fourth rule: never half an edit)."""
    model, (fact,) = gate.model, gate.facts.distinct(1, gate.seed)
    update, _ = gate.editor.edit(model, [fact])
    other = next(name for name, _ in model.module.named_parameters() if name not in update.changes)
    changes = {**update.changes, other: Failing() if at == "apply-fails" else NotFinite()}
    broken = dataclasses.replace(update, changes=changes, base=model.fingerprint(changes))
    before, swallowed = capture(model), 1.0
    try:
        broken.apply(model)
    except (RuntimeError, ValueError):
        swallowed = 0.0
    changed = differences(before, capture(model))
    gate.judge("changed_aspects", len(changed), note=", ".join(changed))
    gate.judge("swallowed_failures", swallowed)


@pytest.mark.editing_property("contract.rejects-bad-facts")
@pytest.mark.parametrize("bad", ["no-facts", "empty-target", "true-target", "empty-subject"])
def test_bad_fact(gate: Gate, bad: str) -> None:
    """A fact that cannot be edited is refused with a FactError that names it (docs/writing-an-editor.md, fifth
    rule: name the record, the field and the mend)."""
    (fact,) = gate.facts.distinct(1, gate.seed)
    record = {
        "empty-target": dataclasses.replace(fact, target=""),
        "true-target": dataclasses.replace(fact, target=fact.true),
        "empty-subject": dataclasses.replace(fact, prompt=Prompt("", "", fact.prompt.right)),
    }
    refuse(gate, [record[bad]] if bad in record else [], fact.id if bad in record else "")


@pytest.mark.editing_property("contract.rejects-bad-facts", needs=("batch",))
@pytest.mark.parametrize("bad", ["contradiction", "bad-in-the-middle"])
def test_bad_batch(gate: Gate, bad: str) -> None:
    """A batch with one fact that cannot be edited, or with two that contradict each other, is refused as a whole
    (docs/writing-an-editor.md, fifth rule)."""
    first, second, third = gate.facts.distinct(3, gate.seed)
    if bad == "contradiction":
        other = dataclasses.replace(first, target=second.target + " too", id="the other one")
        refuse(gate, [first, second, other], other.id)
    else:
        refuse(gate, [first, dataclasses.replace(second, target=""), third], second.id)


def refuse(gate: Gate, facts: list[Fact], named: str) -> None:
    """Judge that the editor refuses `facts`, names the record, and leaves the model alone."""
    model, accepted, unnamed, note = gate.model, 1.0, 0.0, "no error at all"
    before = capture(model)
    try:
        gate.editor.edit(model, facts)
    except FactError as error:
        accepted, note = 0.0, str(error)
        unnamed = float(named not in note)
    except Exception as error:  # the wrong kind of error is what is judged
        note = f"{type(error).__name__} instead of FactError: {error}"
    changed = differences(before, capture(model))
    gate.judge("accepted", accepted, note=note)
    gate.judge("unnamed", unnamed, note=f"the message must contain {named!r}: {note}")
    gate.judge("changed_aspects", len(changed), note=", ".join(changed))
