# SPDX-License-Identifier: Apache-2.0
"""The packaged configurations are those that presets and published parameter counts belong to."""

from __future__ import annotations

import pytest

from kedit.editors.settings import presets
from kedit.models import FULL_MODELS, ModelError, configuration
from kedit.models.memory import parameter_count

PARAMETERS = {
    "gpt2-xl": 1.558e9,
    "gpt-j-6b": 6.05e9,
    "llama-2-7b": 6.74e9,
    "llama-3-8b-instruct": 8.03e9,
    "qwen2.5-1.5b-instruct": 1.54e9,
    "qwen2.5-7b-instruct": 7.62e9,
}


def test_all_six_are_here() -> None:
    assert list(FULL_MODELS) == list(PARAMETERS)
    assert all(name == model.name for name, model in FULL_MODELS.items())


@pytest.mark.parametrize("name", FULL_MODELS)
def test_parameter_counts_are_the_known_ones(name: str) -> None:
    count = parameter_count(configuration(name))
    assert count == pytest.approx(PARAMETERS[name], rel=0.01)
    assert FULL_MODELS[name].large == (count >= 6e9)


@pytest.mark.parametrize("name", FULL_MODELS)
def test_each_has_its_own_row_of_presets(name: str) -> None:
    config = configuration(name)
    d = config.hidden_size
    f = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * d
    wanted = {"family": config.model_type, "blocks": config.num_hidden_layers, "d": d, "f": f}
    rows = [row for row in presets("memit") if all(row.get(key) == value for key, value in wanted.items())]
    assert len(rows) == 1


def test_what_a_reader_of_the_configuration_relies_on() -> None:
    assert configuration("gpt-j-6b").rotary_dim == 64
    assert not configuration("gpt-j-6b").tie_word_embeddings
    assert configuration("llama-3-8b-instruct").rope_parameters["rope_theta"] == 500000.0
    assert configuration("qwen2.5-7b-instruct").rope_parameters["rope_theta"] == 1000000.0
    assert configuration("qwen2.5-1.5b-instruct").tie_word_embeddings
    assert not configuration("qwen2.5-7b-instruct").tie_word_embeddings
    assert (configuration("llama-2-7b").bos_token_id, configuration("llama-2-7b").eos_token_id) == (1, 2)


def test_a_fresh_one_each_time_and_no_other() -> None:
    configuration("gpt2-xl").n_layer = 1
    assert configuration("gpt2-xl").n_layer == 48
    with pytest.raises(ModelError, match="'gpt-5' is no full model of kedit; take one of gpt2-xl"):
        configuration("gpt-5")
