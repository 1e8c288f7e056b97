# SPDX-License-Identifier: Apache-2.0
"""What the edited model writes."""

from __future__ import annotations

import pytest
import torch

from kedit.gate import Gate, answers, decodes
from kedit.metrics import evaluate

FACTS = 4


@pytest.mark.editing_property("efficacy.generation", knowledge=True)
def test_generation(gate: Gate) -> None:
    """The edited model writes what it scores: greedy decoding token by token, with the cache, gives the new object
    exactly where teacher forcing says so, and no probability is NaN (EasyEdit, issues 325 and 384: the two were
    mixed up in published numbers)."""
    facts = gate.facts.distinct(FACTS, gate.seed)
    disagreements = broken = 0
    for batch in [facts] if gate.tags.batch else [[fact] for fact in facts]:
        model = gate.model.twin()
        gate.editor.edit(model, batch)[0].apply(model)
        broken += int((~torch.isfinite(answers(model, batch))).sum())
        for one in evaluate(model, batch, paraphrases=False, neighborhood=False).facts:
            disagreements += one.exact != decodes(model, one.fact)
    gate.judge("disagreement", disagreements / FACTS)
    gate.judge("not_finite", broken)
