# SPDX-License-Identifier: Apache-2.0
"""Random models: seeded, in their dtype from the start, small ones of the same kind, and such that edits work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from editing_tests.library.models.fake_devices import CUDA, cuda_here, fake_devices, place
from kedit.editors.rome import Rome
from kedit.facts import Fact, Prompt
from kedit.gate import converted
from kedit.models import FULL_MODELS, LanguageModel, ModelError, configuration
from kedit.models.activations import Site, read
from kedit.models.random_weights import random_model, random_texts, reduced
from kedit.models.stand_in_tokenizers import stand_in_tokenizer
from kedit.models.tokens import Text, encode
from kedit.statistics import measure


def small(name: str, **kwargs: object) -> LanguageModel:
    return random_model(reduced(configuration(name)), **kwargs)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FULL_MODELS)
def test_a_reduced_configuration_is_of_the_same_kind(name: str) -> None:
    full, config = configuration(name), reduced(configuration(name), blocks=3, width=32)
    assert (config.model_type, config.num_hidden_layers, config.hidden_size) == (full.model_type, 3, 32)
    assert config.tie_word_embeddings == full.tie_word_embeddings
    before, after = (getattr(one, "num_key_value_heads", None) for one in (full, config))
    if before is not None:
        assert after > 1
        assert (after < config.num_attention_heads) == (before < full.num_attention_heads)
    if name == "gpt-j-6b":
        assert config.rotary_dim == 2  # a quarter of a head
    assert configuration(name).to_dict() == full.to_dict()
    model = random_model(config)
    assert (model.n_blocks, model.d) == (3, 32)
    full_ratio = (getattr(full, "intermediate_size", None) or 4 * full.hidden_size) / full.hidden_size
    assert model.f == int(32 * full_ratio)


def test_equal_arguments_give_equal_bits_and_leave_the_generator_alone() -> None:
    state = torch.get_rng_state()
    one, same, other = small("gpt-j-6b", seed=1), small("gpt-j-6b", seed=1), small("gpt-j-6b", seed=2)
    assert one.origin == same.origin != other.origin
    assert torch.equal(torch.get_rng_state(), state)


class Largest(TorchDispatchMode):
    """Remembers the most bytes of a float32 tensor that any operation made."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, (list, tuple)) else [made]:
            if isinstance(tensor, Tensor) and tensor.dtype == torch.float32:
                self.bytes = max(self.bytes, tensor.nbytes)
        return made


def test_weights_are_made_in_their_dtype() -> None:
    with Largest() as seen:
        model = small("llama-3-8b-instruct", dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in model.module.parameters()} == {torch.bfloat16}
    assert seen.bytes < model.weight(0).numel() * 4


@pytest.mark.parametrize("name", FULL_MODELS)
def test_keys_are_finite_and_far_from_each_other(name: str) -> None:
    model = small(name, corpus_tokens=3000)
    rows = encode(model.tokenizer, [Text(Prompt("", subject, " lives in")) for subject in ("Ada Byron", "Bo Łuk", "X")])
    site = Site("key", 1)
    keys = read(model, rows, [len(row.ids) - 1 for row in rows], [site])[site]
    unit = torch.nn.functional.normalize(keys, dim=1)
    assert bool(torch.isfinite(keys).all()) and float(keys.norm(dim=1).min()) > 0.1
    assert float((unit @ unit.T - torch.eye(3)).max()) < 0.999
    moment = measure(model, model.corpus, [1])[1]
    assert moment.tokens >= 3000 > model.f
    moment.factor(0.0)


@pytest.mark.parametrize("name", ["gpt2-xl", "llama-3-8b-instruct"])
def test_an_edit_reaches_its_value(name: str) -> None:
    model = small(name, corpus_tokens=3000)
    fact = Fact(Prompt.from_template("{} lives in", "Ada Byron"), "Madrid", "Rome", id="1")
    editor = Rome(layer=1, contexts={"count": 1}, value={"steps": 2, "lr": 0.5})
    update, _ = editor.edit(model, [fact])
    (change,) = update.changes.values()
    evidence = update.evidence.layers[1]  # type: ignore[union-attr]
    moved = (change.new_weight(model.weight(1)) - model.weight(1)).double() @ evidence.keys
    torch.testing.assert_close(moved, evidence.residuals, rtol=1e-3, atol=1e-4)
    assert float(evidence.residuals.norm()) > 1e-3


@pytest.mark.parametrize("name", FULL_MODELS)
def test_the_stand_in_tokenizer_has_offsets_and_the_familys_start(name: str) -> None:
    config = configuration(name)
    tokenizer = stand_in_tokenizer(config)
    text = "Ada Łukasz 日本 lives"
    found = tokenizer(text, return_offsets_mapping=True)
    starts = config.model_type == "llama"
    assert (found["input_ids"][0] == config.bos_token_id) == starts
    assert found["offset_mapping"][0] == ((0, 0) if starts else (0, 1))
    assert {i for left, right in found["offset_mapping"] for i in range(left, right)} == set(range(len(text)))
    assert tokenizer.decode(found["input_ids"], skip_special_tokens=True) == text
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (config.bos_token_id, config.eos_token_id)
    assert max(tokenizer.get_vocab().values()) < config.vocab_size


@pytest.mark.parametrize("name", ["gpt2-xl", "llama-2-7b"])
def test_a_saved_one_loads_again_with_its_tokens(name: str, tmp_path: Path) -> None:
    model = small(name)
    model.save(tmp_path / "model")
    loaded = LanguageModel.from_pretrained(tmp_path / "model", name=name)
    assert (loaded.origin, loaded.name) == (model.origin, name)
    text = "Ada Łukasz lives"
    assert loaded.tokenizer(text)["input_ids"] == model.tokenizer(text)["input_ids"]


class RoundsOtherwise(TorchDispatchMode):
    """A fake CUDA device whose functions are not those of the host to the last bit."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        own = func._schema.name in ("aten::sin", "aten::cos", "aten::pow", "aten::reciprocal")
        return made * 1.0001 if own and place(made) == CUDA else made


@pytest.mark.parametrize("name", FULL_MODELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_tables_of_positions_are_those_of_a_loaded_model(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    with cuda_here(), fake_devices(), RoundsOtherwise():
        model = small(name, dtype=dtype, device="cuda")
        model.save(tmp_path / "saved")
        loaded = LanguageModel.from_pretrained(tmp_path / "saved", dtype=dtype, device="cuda")
        twin = converted(model, torch.bfloat16)
    tables, again, rounded = (dict(one.module.named_buffers()) for one in (model, loaded, twin))
    assert len(tables) == (0 if name == "gpt2-xl" else 2)
    for path, table in tables.items():
        assert table.dtype == again[path].dtype == rounded[path].dtype == torch.float32
        assert torch.equal(table, again[path]) and torch.equal(table, rounded[path])
    assert twin.dtype == "bfloat16"


def test_texts_are_seeded_distinct_and_long_enough() -> None:
    tokenizer = stand_in_tokenizer(reduced(configuration("gpt2-xl")))
    texts = random_texts(tokenizer, 2000, seed=0)
    assert texts == random_texts(tokenizer, 2000, seed=0) != random_texts(tokenizer, 2000, seed=1)
    assert len(set(texts)) == len(texts)
    assert sum(len(tokenizer(text)["input_ids"]) for text in texts) >= 2000


def test_what_does_not_fit_is_refused() -> None:
    config = configuration("gpt2-xl")
    with pytest.raises(ModelError, match="a multiple of 16 and a vocabulary of at least 934, got 20 and 1024"):
        reduced(config, width=20)
    with pytest.raises(ModelError, match="got 64 and 900"):
        reduced(config, vocabulary=900)
    with pytest.raises(ModelError, match="ids above the 1024 entries"):
        random_model(reduced(config), tokenizer=stand_in_tokenizer(config))
    config.vocab_size = 300
    with pytest.raises(ModelError, match="300 is too small for the stand-in tokenizer; give at least 934"):
        stand_in_tokenizer(config)
