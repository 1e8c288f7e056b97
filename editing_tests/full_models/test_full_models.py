# SPDX-License-Identifier: Apache-2.0
"""The models that `pytest -m gpu` asks for."""

from __future__ import annotations

import pytest

from kedit.gate import Bench, Candidate


@pytest.mark.full_model
def test_full_model(full_model: Candidate, gate_bench: Bench) -> None:
    """The model is at hand, can be loaded, and knows facts to edit. What is not at hand is skipped and says why."""
    if full_model.missing:
        if gate_bench.requires_models:
            pytest.fail(full_model.missing, pytrace=False)
        pytest.skip(full_model.missing)
    facts = gate_bench.facts_of(full_model)
    if not facts.sampler.groups:
        pytest.fail(f"{full_model.name}: of its facts {facts.told}; give --facts FILE with facts that it knows")
