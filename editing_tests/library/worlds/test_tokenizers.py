# SPDX-License-Identifier: Apache-2.0
"""The committed tokenizers, loaded as users load them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from kedit.paths import fixtures_dir
from kedit.worlds import World

FAMILIES = ("gpt2", "gptj", "llama", "qwen2")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, PreTrainedTokenizerBase]:
    return {name: AutoTokenizer.from_pretrained(fixtures_dir() / "models" / f"tiny-{name}") for name in FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
@given(text=TEXTS)
def test_any_text_comes_back(tokenizers: dict[str, PreTrainedTokenizerBase], family: str, text: str) -> None:
    tokenizer = tokenizers[family]
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    expected = text
    if family == "qwen2":
        expected = unicodedata.normalize("NFC", text)
    if family == "llama":
        expected = text.replace("▁", " ")
    assert tokenizer.decode(ids) == expected


@pytest.mark.parametrize("family", FAMILIES)
@given(text=TEXTS)
def test_offsets_cover_the_text_in_order(
    tokenizers: dict[str, PreTrainedTokenizerBase], family: str, text: str
) -> None:
    text = unicodedata.normalize("NFC", text)
    offsets = tokenizers[family](text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    assert [start for start, _ in offsets] == sorted(start for start, _ in offsets)
    assert {i for start, end in offsets for i in range(start, end)} == set(range(len(text)))


@pytest.mark.parametrize("family", FAMILIES)
def test_offsets_find_every_subject(tokenizers: dict[str, PreTrainedTokenizerBase], family: str) -> None:
    tokenizer = tokenizers[family]
    for fact in World.generate(0).facts()[::7]:
        prompt = f"It is well known that {fact.prompt.text}"
        start = prompt.index(fact.subject)
        encoded = tokenizer(prompt, return_offsets_mapping=True)
        inside = [
            token
            for token, (a, b) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
            if a < start + len(fact.subject) and b > start
        ]
        assert tokenizer.decode(inside).strip() == fact.subject
        assert 2 <= len(inside) <= 6


def test_digits(tokenizers: dict[str, PreTrainedTokenizerBase]) -> None:
    def tokens(family: str) -> list[str]:
        tokenizer = tokenizers[family]
        ids = tokenizer("since 2012", add_special_tokens=False)["input_ids"]
        return tokenizer.convert_ids_to_tokens(ids)

    assert tokens("llama")[-5:] == ["▁", "2", "0", "1", "2"]
    assert tokens("qwen2")[-5:] == ["Ġ", "2", "0", "1", "2"]
    year = tokenizers["gpt2"](" 1745", add_special_tokens=False)["input_ids"]
    assert len(year) < 5


def test_only_llama_begins_with_a_token_of_its_own(tokenizers: dict[str, PreTrainedTokenizerBase]) -> None:
    for family, tokenizer in tokenizers.items():
        first = tokenizer("Mira")["input_ids"][0]
        assert (first == tokenizer.bos_token_id) is (family == "llama"), family
        assert tokenizer.eos_token_id is not None


@pytest.mark.parametrize("family", FAMILIES)
def test_objects_are_few_tokens(tokenizers: dict[str, PreTrainedTokenizerBase], family: str) -> None:
    tokenizer = tokenizers[family]
    for entry in World.generate(0).entries:
        if not entry.true.isdigit():
            head = len(tokenizer("of", add_special_tokens=False)["input_ids"])
            assert len(tokenizer(f"of {entry.true}", add_special_tokens=False)["input_ids"]) - head <= 3
