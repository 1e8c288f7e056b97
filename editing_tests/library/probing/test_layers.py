# SPDX-License-Identifier: Apache-2.0
"""Keys by layer, and the rule that recommends layers."""

from __future__ import annotations

import tomllib

import pytest
import torch

from editing_tests.library.random_models import random_model
from kedit.editors.memit import MemitSettings
from kedit.editors.settings import resolve
from kedit.models import LanguageModel
from kedit.paths import model_folder
from kedit.probing import LayerKeys, Tracing, check_keys, read_keys, recommend, snippet
from kedit.probing.layers import preset_layers
from kedit.probing.tracing import KINDS, ROLES
from kedit.worlds import World

DIFFERENT = [LayerKeys(layer, 0.0, 1.2, 0.8) for layer in range(4)]


def tracing(states: list[float], outputs: list[float], total: float = 0.8) -> Tracing:
    effects = torch.zeros(1, len(KINDS), len(states), len(ROLES), dtype=torch.float64)
    effects[0, 0, :, 2], effects[0, 1, :, 2] = torch.tensor(states), torch.tensor(outputs)
    clean = torch.tensor([0.9], dtype=torch.float64)
    return Tracing(tuple(range(len(states))), 1, 0.1, (), clean, clean - total, effects)


def test_the_range_ends_where_the_subject_is_still_unread() -> None:
    model = random_model("gpt2")
    found = recommend(model, tracing([0.5, 0.6, 0.55, 0.2], [0.4, 0.3, 0.1, 0.0]), DIFFERENT)
    assert found.layers == (1, 2)
    assert "up to layer 2" in found.reasons[0] and "greatest at layer 0 (0.400), 0.100 at 2" in found.reasons[1]
    assert recommend(model, tracing([0.6, 0.5, 0.2, 0.0], [0.4, 0.3, 0.1, 0.0]), DIFFERENT).layers == (0,)


def test_layers_where_two_subjects_have_one_key_are_left_out() -> None:
    model = random_model("gpt2")
    keys = [LayerKeys(0, 0.0, 1.2, 1.0), *DIFFERENT[1:]]
    found = recommend(model, tracing([0.6, 0.6, 0.2, 0.0], [0.4, 0.3, 0.1, 0.0]), keys)
    assert found.layers == (1,) and "two subjects have one key at layer 0" in found.reasons[2]
    assert recommend(model, tracing([0.6, 0.2, 0.2, 0.0], [0.4, 0.3, 0.1, 0.0]), keys).layers is None


@pytest.mark.parametrize(("states", "total"), [([0.0, 0.0, -0.1, 0.0], 0.8), ([0.5, 0.5, 0.5, 0.0], 0.001)])
def test_no_layer_is_recommended_where_nothing_is_traced(states: list[float], total: float) -> None:
    found = recommend(random_model("gpt2"), tracing(states, [0.0] * 4, total), DIFFERENT)
    assert found.layers is None and "no layer is decisive" in found.reasons[0]


def test_the_snippet_is_settings_that_memit_takes() -> None:
    model = random_model("llama")
    assert preset_layers(model) is None
    setting = resolve(MemitSettings, model, tomllib.loads(snippet(model, (1, 2))), name="memit")
    assert (setting.layers, setting.ridge) == ((1, 2), 1.0)
    tiny = LanguageModel.from_pretrained(model_folder("tiny-gptj"))
    assert preset_layers(tiny) == (1, 2)
    assert tomllib.loads(snippet(tiny, (2,))) == {"layers": [2]}
    assert resolve(MemitSettings, tiny, tomllib.loads(snippet(tiny, (2,))), name="memit").ridge == 0.6


def test_a_parallel_block_has_one_key_for_one_last_token_at_the_bottom() -> None:
    names = [subject.name for subject in World.generate(0).subjects]
    for name, alike in (("tiny-gptj", [0]), ("tiny-llama", [])):
        model = LanguageModel.from_pretrained(model_folder(name))
        keys = read_keys(model, names, range(3))
        assert [one.layer for one in keys if not one.own] == alike
        assert all(one.same < 1e-5 < one.different for one in keys)
        first, second = check_keys(model, keys)
        assert (first.verdict, second.verdict) == ("ok", "note" if alike else "ok")


def test_a_subject_with_two_keys_is_a_problem() -> None:
    first, _ = check_keys(random_model("gpt2"), [*DIFFERENT[:1], LayerKeys(1, 0.3, 1.2, 0.8)])
    assert first.verdict == "problem" and "at layer 1" in first.text
