# SPDX-License-Identifier: Apache-2.0
"""Second moments against a hand-made sum, and everything that is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizers.normalizers import Lowercase
from torch import Tensor

from editing_tests.library.profiles import drawn
from editing_tests.library.random_models import random_model
from kedit.models import LanguageModel
from kedit.statistics import SecondMoment, StatisticsError, measure, second_moments

TEXTS = [f"Mira Solano number {i} lives in the {i}th house" for i in range(40)] + ["x", "a longer one, 2012"]


def with_corpus(family: str, texts: list[str], seed: int = 0) -> LanguageModel:
    model = random_model(family, seed=seed)
    model.corpus = tuple(texts)
    return model


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@drawn(0.2)
@given(
    texts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=8),
    batch_tokens=st.integers(1, 200),
    layers=st.permutations(range(4)).map(lambda order: order[:2]),
)
@example(texts=["x", TEXTS[0], "x"], batch_tokens=1, layers=[3, 0])
def test_neither_batches_nor_the_order_of_texts_and_layers_matter(
    family: str, texts: list[str], batch_tokens: int, layers: list[int]
) -> None:
    """Padding is never counted, and every layer is asked of the same pass."""
    model = random_model(family)
    found = measure(model, texts, layers, batch_tokens=batch_tokens)
    expected = measure(model, sorted(texts), sorted(layers))
    assert set(found) == set(layers)
    for layer in layers:
        assert found[layer].tokens == expected[layer].tokens
        torch.testing.assert_close(found[layer].matrix, expected[layer].matrix, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", ["gpt2", "gptj", "llama"])
def test_the_mean_over_all_real_tokens(family: str) -> None:
    model = random_model(family)
    total, count = torch.zeros(model.f, model.f, dtype=torch.float64), 0
    for text in TEXTS:
        seen: list[Tensor] = []
        handle = model.down_projection(2).register_forward_pre_hook(lambda _m, args, seen=seen: seen.append(args[0]))
        ids = torch.tensor([model.tokenizer(text)["input_ids"]])
        with torch.no_grad():
            model.module(input_ids=ids)
        handle.remove()
        keys = seen[0][0].double()
        total, count = total + keys.T @ keys, count + len(keys)
    found = measure(model, TEXTS, [2, 0], batch_tokens=64)
    assert set(found) == {0, 2}
    assert found[2].tokens == count
    torch.testing.assert_close(found[2].matrix, total / count, rtol=1e-5, atol=1e-6)


def test_the_cache_gives_the_same_bits_and_is_keyed_by_model_corpus_and_layer(tmp_path: Path) -> None:
    model = with_corpus("gpt2", TEXTS)
    first = second_moments(model, [0, 1], cache=tmp_path)
    again = second_moments(model, [0, 1], cache=tmp_path)
    assert all(torch.equal(first[layer].matrix, again[layer].matrix) for layer in (0, 1))
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    second_moments(with_corpus("gpt2", TEXTS[:-1]), [0], cache=tmp_path)
    second_moments(with_corpus("gpt2", TEXTS, seed=1), [0], cache=tmp_path)
    second_moments(model, [2], cache=tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == 5


def test_another_tokenizer_has_statistics_of_its_own(tmp_path: Path) -> None:
    """Pitfall 26: the same weights and texts, cut into other tokens; what the last call left set is no difference."""
    model = with_corpus("gpt2", TEXTS)
    words = copy.deepcopy(model.tokenizer)
    other = LanguageModel(model.module, words, corpus=model.corpus)
    words(["a", "longer one"], padding="max_length", max_length=8, truncation=True)
    first = second_moments(model, [0], cache=tmp_path)[0]
    assert second_moments(other, [0], cache=tmp_path)[0].corpus == first.corpus
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    words.backend_tokenizer.normalizer = Lowercase()
    assert second_moments(other, [0], cache=tmp_path)[0].corpus != first.corpus
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda m: m[:-1, :-1], r"no second moment of keys of size 24 .* of shape \(23, 23\); delete it"),
        (lambda m: m.where(m != m.max(), torch.nan), "no second moment"),
        (lambda m: m + torch.ones_like(m).triu(1), "no second moment"),
        (lambda m: -m, "no second moment"),
        (lambda m: 0 * m, "no second moment"),
    ],
    ids=["shape", "nan", "one-sided", "negative", "zero"],
)
def test_a_file_that_holds_no_second_moment_is_refused(
    damage: Callable[[Tensor], Tensor], message: str, tmp_path: Path
) -> None:
    """Pitfalls 62 and 63, when the file is read."""
    model = with_corpus("gpt2", TEXTS)
    second_moments(model, [0], cache=tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    rewritten(file, damage, {})
    with pytest.raises(StatisticsError, match=message):
        second_moments(model, [0], cache=tmp_path)


@pytest.mark.parametrize("tokens", ["0", "many"])
def test_a_file_that_does_not_count_its_tokens_is_refused(tokens: str, tmp_path: Path) -> None:
    model = with_corpus("gpt2", TEXTS)
    second_moments(model, [0], cache=tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    rewritten(file, lambda matrix: matrix, {"tokens": tokens})
    with pytest.raises(StatisticsError, match="does not say of how many tokens"):
        second_moments(model, [0], cache=tmp_path)


def rewritten(file: Path, damage: Callable[[Tensor], Tensor], told: dict[str, str]) -> None:
    with safe_open(file, framework="pt") as stored:
        metadata, matrix = stored.metadata(), stored.get_tensor("matrix")
    save_file({"matrix": damage(matrix).contiguous()}, file, metadata=metadata | told)


def test_another_models_file_is_refused_by_name(tmp_path: Path) -> None:
    one, other = with_corpus("gpt2", TEXTS), with_corpus("gpt2", TEXTS, seed=1)
    second_moments(one, [0], cache=tmp_path / "one")
    second_moments(other, [0], cache=tmp_path / "other")
    (mine,), (theirs,) = (tmp_path / "one").glob("*.safetensors"), (tmp_path / "other").glob("*.safetensors")
    mine.write_bytes(theirs.read_bytes())
    with pytest.raises(StatisticsError, match=r"measured on another model .* are refused"):
        second_moments(one, [0], cache=tmp_path / "one")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    model = with_corpus("gpt2", TEXTS)
    second_moments(model, [0], cache=tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(StatisticsError, match=f"{file.name} is damaged .* delete it"):
        second_moments(model, [0], cache=tmp_path)


def test_an_edited_model_is_refused() -> None:
    model = with_corpus("gpt2", TEXTS)
    with torch.no_grad():
        model.module.get_parameter(model.weight_name(0)).add_(0.1)
    with pytest.raises(StatisticsError, match="not as it was loaded"):
        second_moments(model, [0])


def test_no_corpus_is_named() -> None:
    with pytest.raises(StatisticsError, match="has no corpus"):
        second_moments(random_model("gpt2"), [0])


def test_too_few_tokens_say_how_many_are_missing() -> None:
    model = with_corpus("gpt2", ["Mira Solano"])
    moment = second_moments(model, [0])[0]
    missing = model.f - moment.tokens
    with pytest.raises(StatisticsError, match=f"at least {missing} tokens are missing"):
        moment.factor(1e-4)


def test_a_rank_deficient_moment_says_how_many_are_missing() -> None:
    matrix = torch.diag(torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64))
    moment = SecondMoment(3, matrix, 1000, "m", "c")
    with pytest.raises(StatisticsError, match="layer 3 has rank 2 of 4 after 1000 tokens: 2 independent tokens"):
        moment.factor(0.0)
    assert moment.factor(1e-3).shape == (4, 4)


def test_a_penalty_is_a_weight_on_the_damped_moment() -> None:
    matrix = torch.diag(torch.tensor([1.0, 3.0], dtype=torch.float64))
    moment = SecondMoment(0, matrix, 1000, "m", "c")
    penalty = moment.penalty(0.5, 4.0)
    assert penalty.tolist() == [[8.0, 0.0], [0.0, 16.0]]
    assert moment.penalty(0.5, 2.0).tolist() == [[4.0, 0.0], [0.0, 8.0]]
    assert matrix.tolist() == [[1.0, 0.0], [0.0, 3.0]]
