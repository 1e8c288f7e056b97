# SPDX-License-Identifier: Apache-2.0
"""Each trap of a tokenizer is named where it is, and not where it is not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from editing_tests.library.random_models import TINY, random_model, tokenizer
from kedit.facts import Fact, Prompt
from kedit.paths import fixtures_dir
from kedit.probing import Finding, ProbeError, check_tokenizer
from kedit.probing.knowledge import neutral_facts
from kedit.worlds import Sampler, World


def fresh(name: str) -> Any:
    return AutoTokenizer.from_pretrained(fixtures_dir() / "models" / name, local_files_only=True)


def found(words: Any, facts: list[Fact] | None = None, size: int | None = None) -> dict[str, Finding]:
    stub: Any = SimpleNamespace(tokenizer=words, head_size=len(words) if size is None else size)
    return {finding.check: finding for finding in check_tokenizer(stub, facts or neutral_facts())}


def fact(subject: str, right: str = " is", true: str = "red") -> Fact:
    return Fact(prompt=Prompt("", subject, right), target="blue", true=true)


def words_only(*, pad: str | None = "[PAD]") -> PreTrainedTokenizerFast:
    vocabulary = {"[UNK]": 0, "[PAD]": 1, "Anna": 2, "is": 3, "red": 4}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", pad_token=pad)


@pytest.mark.parametrize("name", TINY)
def test_the_tiny_tokenizers_have_no_problem(name: str) -> None:
    facts = Sampler(World.generate(0)).distinct(40, 0)
    for sample in (facts, neutral_facts()):
        findings = found(tokenizer(name), sample)
        assert [one.line for one in findings.values() if one.verdict == "problem"] == []
        assert findings["pad token"].verdict == "note"
        assert findings["target's blank"].verdict == ("note" if name == "tiny-llama" else "ok")
        assert ("'<s>' is added" in findings["start token"].text) == (name == "tiny-llama")


def test_an_end_token_in_the_target_is_a_problem() -> None:
    words = fresh("tiny-llama")
    words.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", words.bos_token_id), ("</s>", words.eos_token_id)]
    )
    assert found(words)["start token"].verdict == "problem"
    assert "hold a special token" in found(words)["start token"].text


def test_two_start_tokens_are_a_problem() -> None:
    words = fresh("tiny-llama")
    words.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> <s> $A", special_tokens=[("<s>", words.bos_token_id)]
    )
    assert found(words)["start token"].verdict == "problem"


def test_a_subject_with_two_last_tokens_is_noted() -> None:
    assert found(tokenizer("tiny-gpt2"), [fact("Anna Ora")])["start of a text"].verdict == "ok"
    # The start of a text has no blank before a subject of one token.
    single = next(name for name in ("Huntington", "London", "Paris", "is", "the") if
                  len(tokenizer("tiny-gpt2").tokenize(f" {name}")) == 1)  # fmt: skip
    noted = found(tokenizer("tiny-gpt2"), [fact(single)])["start of a text"]
    assert noted.verdict == "note" and "1 of 1 subjects have another last token" in noted.text


def test_a_token_over_the_subjects_end_is_a_problem() -> None:
    facts = [replace(one, prompt=Prompt("", one.subject, "s is")) for one in Sampler(World.generate(0)).distinct(99, 0)]
    fused = found(tokenizer("tiny-gpt2"), facts)["subject's end"]
    assert fused.verdict == "problem" and "holds signs behind it" in fused.text
    noted = found(words_only(), [fact("Anna")])["subject's end"]
    assert noted.verdict == "note" and "'s' right behind one" in noted.text


def test_unknown_tokens_pad_and_vocabulary() -> None:
    good = found(words_only(), [fact("Anna")])
    assert (good["unknown tokens"].verdict, good["pad token"].verdict) == ("ok", "ok")
    bad = found(words_only(pad=None), [fact("Anna"), fact("Otto")], size=4)
    assert bad["unknown tokens"].verdict == "problem" and "1 of 2 sentences hold '[UNK]'" in bad["unknown tokens"].text
    assert bad["pad token"].verdict == "note"
    assert bad["vocabulary"].verdict == "problem"


def test_signs_without_a_token_are_a_problem() -> None:
    words = words_only()
    words.backend_tokenizer.pre_tokenizer = pre_tokenizers.Split("#", "removed")
    assert found(words, [fact("Anna", "# is")])["offsets"].verdict == "problem"


def test_no_facts_are_refused() -> None:
    with pytest.raises(ProbeError, match="give at least one fact"):
        check_tokenizer(random_model("gpt2"), [])
