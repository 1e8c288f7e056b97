# SPDX-License-Identifier: Apache-2.0
"""What must not matter: the order of a batch, other models, names, padding, and what was undone."""

from __future__ import annotations

from pathlib import Path

import pytest

from kedit.gate import Gate, answers, bits, differences, independent, moved, outcome, reordered, single_update


@pytest.mark.editing_property("contract.batch-order", needs=("batch",))
def test_batch_order(gate: Gate) -> None:
    """The facts of a batch in another order, two of one subject among them, leave a model that answers alike (MEMIT,
    equation 14, and MEMIT-Merge, section 4.2: sums and means over facts have no order)."""
    first, second = gate.facts.same_subject(2, gate.seed)
    others = [fact for fact in gate.facts.distinct(3, gate.seed) if fact.subject != first.subject]
    facts = [first, second, *others[:2]]
    ahead, behind = (outcome(gate.editor, gate.model, batch, facts) for batch in (facts, [*facts[2:], *facts[:2]]))
    gate.judge("difference", float((ahead - behind).abs().max()))


@pytest.mark.editing_property("contract.two-models", excludes=("needs_training",))
def test_two_models(gate: Gate) -> None:
    """An editor that edits two models in turn keeps them apart: the second, which is the first with its hidden units in
    another order, answers as the first does after the same edit, and the first gets the same bits as before
    (docs/architecture.md, contract 3: no state in modules)."""
    gate.change_weights()
    (fact,) = gate.facts.distinct(1, gate.seed)
    model, other = independent(gate.base), reordered(gate.base, gate.seed)
    update, _ = gate.editor.edit(model, [fact])
    found = outcome(gate.editor, other, [fact], [fact])
    changed = differences(bits(model, update), bits(model, gate.editor.edit(model, [fact])[0]))
    gate.judge("differing_weights", len(changed), note=", ".join(changed))
    update.apply(model)
    gate.judge("difference", float((found - answers(model, [fact])).abs().max()))


@pytest.mark.editing_property("contract.folder-name")
def test_folder_name(gate: Gate, tmp_path: Path) -> None:
    """The same model in a folder with another name gets the same bits: nothing is decided by what a model is called
    (docs/architecture.md, contract 4)."""
    fact, update = single_update(gate)
    # Copied, because where in memory a loaded tensor begins moves the last bits of a product.
    twin = moved(gate.base, tmp_path / "llama-gpt-qwen-chat").twin()
    changed = differences(bits(gate.model, update), bits(twin, gate.editor.edit(twin, [fact])[0]))
    gate.judge("differing_weights", len(changed), note=", ".join(changed))


@pytest.mark.editing_property("contract.padding-side")
def test_padding_side(gate: Gate) -> None:
    """The tokenizer's padding side is a habit of whoever used it last; with the other one the edited model answers
    alike (docs/architecture.md, contract 4: positions come from offsets)."""
    facts = gate.facts.distinct(2 if gate.tags.batch else 1, gate.seed)
    twin, found = independent(gate.base), []
    for side in ("left", "right"):
        twin.tokenizer.padding_side = side
        found.append(outcome(gate.editor, twin, facts, facts))
    gate.judge("difference", float((found[0] - found[1]).abs().max()))


@pytest.mark.editing_property("contract.undo-forgets")
def test_undo_forgets(gate: Gate) -> None:
    """Editing a fact, undoing it and editing another gives the bits of editing the other alone; so does going back in
    the middle of a session, to the state before (docs/architecture.md, contract 3: state belongs to a session)."""
    fact, alone = single_update(gate)
    model, (undone, following) = gate.model, gate.facts.distinct(3, gate.seed)[1:]
    fresh = bits(model, alone)
    update, _ = gate.editor.edit(model, [undone])
    update.apply(model).restore(model)
    update, state = gate.editor.edit(model, [fact])
    changed = differences(fresh, bits(model, update))
    if gate.tags.sequential:
        update.apply(model)
        expected = bits(model, gate.editor.edit(model, [following], state)[0])
        gate.editor.edit(model, [undone], state)[0].apply(model).restore(model)
        changed += differences(expected, bits(model, gate.editor.edit(model, [following], state)[0]))
    gate.judge("differing_weights", len(changed), note=", ".join(changed))
