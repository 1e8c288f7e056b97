# SPDX-License-Identifier: Apache-2.0
"""A fact does not depend on its company."""

from __future__ import annotations

import statistics

import pytest

from kedit.gate import Gate
from kedit.metrics import evaluate

FACTS = 8


@pytest.mark.editing_property("contract.batch-independence", needs=("batch",))
def test_batch_independence(gate: Gate) -> None:
    """A fact alone and among others of distinct subjects ends the same: the value optimised for it to 1e-4 (in half
    precision, where a search amplifies rounding, to 0.04 for half of the facts), or, for an editor that shows no
    values, whether it takes (MEMIT, section 4: values are found fact by fact)."""
    facts = gate.facts.distinct(FACTS, gate.seed)
    together, _ = gate.editor.edit(gate.model, facts)
    alone = [gate.editor.edit(gate.model, [fact])[0] for fact in facts]
    if gate.tags.keyed:
        apart = []
        for column, update in enumerate(alone):
            one, other = update.evidence.values[:, 0].double(), together.evidence.values[:, column].double()
            apart.append(float((one - other).norm() / one.norm()))
        if gate.base.dtype in ("bfloat16", "float16"):
            gate.judge("median_difference", statistics.median(apart), note=f"of the worst fact {max(apart):.3g}")
        else:
            gate.judge("relative_difference", max(apart))
        return
    model = gate.model
    snapshot = together.apply(model)
    among = [one.exact for one in evaluate(model, facts, paraphrases=False, neighborhood=False).facts]
    snapshot.restore(model)
    different = 0
    for fact, update, outcome in zip(facts, alone, among, strict=True):
        snapshot = update.apply(model)
        found = evaluate(model, [fact], paraphrases=False, neighborhood=False).facts[0].exact
        snapshot.restore(model)
        different += found != outcome
    gate.judge("different_outcomes", different / FACTS)
