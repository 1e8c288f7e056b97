# SPDX-License-Identifier: Apache-2.0
"""What properties leave for the figures."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from kedit.editors import load_editor
from kedit.gate.bench import Gate
from kedit.gate.protocols import Trace, fate_of_first, key_points, trace
from kedit.gate.series import record_sequence
from kedit.models.language_model import LanguageModel
from kedit.paths import model_folder
from kedit.updates import Evidence, LayerEvidence, Update
from kedit.worlds import World
from kedit.worlds.sampling import Sampler

KEYS = torch.tensor([[3.0, 0.0, 3.0], [0.0, 4.0, 4.0]])


def update(keys: torch.Tensor) -> Update:
    layers = {4: LayerEvidence(keys.roll(1, -1), keys), 2: LayerEvidence(keys, keys)}
    return Update({}, base="", evidence=Evidence(layers, keys, (0, 1, 2)))


def found(*probabilities: float) -> SimpleNamespace:
    facts = tuple(SimpleNamespace(probability=p) for p in probabilities)
    return SimpleNamespace(facts=facts, n=len(facts))


def test_a_point_is_the_nearest_cosine_at_the_first_layer_and_the_probability():
    points = key_points(update(KEYS), found(0.1, 0.2, 0.3))
    assert points == [pytest.approx(pair) for pair in ((0.6, 0.1), (0.8, 0.2), (0.8, 0.3))]


@pytest.mark.parametrize("keys", [KEYS[:, :2], torch.zeros(2, 3), torch.ones(3), KEYS * torch.nan])
def test_evidence_that_shows_no_key_for_each_fact_gives_no_points(keys):
    assert key_points(update(keys), found(0.1, 0.2, 0.3)) == []
    assert key_points(Update({}, base=""), found(0.1)) == []


def test_a_sequence_is_told_in_windows_and_pairs():
    kept = {}
    gate = SimpleNamespace(record=lambda name, data: kept.update({name: data}))
    each, all_ = [True] * 10 + [False] * 10, [False] * 15 + [True] * 5
    record_sequence(gate, Trace(tuple(each), tuple(all_), 1.0, {10: {"a": 1.0, "b": 3.0}, 20: {}}, {10: 0.5, 20: 0.25}))
    assert kept == {
        "sequence": {
            "window": 10,
            "after_each": [1.0, 0.0],
            "after_all": [0.0, 0.5],
            "known": [[10, 0.5], [20, 0.25]],
            "relative_change": [[10, 3.0], [20, 0.0]],
        }
    }


def test_a_trace_knows_how_many_of_the_edits_so_far_are_known():
    base = LanguageModel.from_pretrained(model_folder("tiny-gpt2"))
    facts = Sampler(World.generate(0)).distinct(4, 0)
    editor = load_editor("rome")
    one = trace(editor, base, facts, checkpoints=(2, 4))
    assert one.known[4] == sum(one.after_all) / 4
    assert one.known[2] in (0.0, 0.5, 1.0)
    fates = fate_of_first(editor, base, facts[0], {"distinct": facts[1:3]}, {1, 2})
    assert set(fates["distinct"]) == {1, 2}
    assert fates["distinct"][1].exact == one.after_each[0]


def test_data_outside_of_a_property_are_dropped():
    Gate.record(SimpleNamespace(_judge=None), "found", {})
