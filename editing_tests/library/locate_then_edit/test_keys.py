# SPDX-License-Identifier: Apache-2.0
"""Keys, groups and contexts."""

from __future__ import annotations

import pytest
import torch

from editing_tests.library.random_models import random_model
from kedit.facts import Fact, Prompt
from kedit.locate_then_edit.contexts import ContextConfig, sample_contexts
from kedit.locate_then_edit.groups import each_alone, equal_keys, members
from kedit.locate_then_edit.keys import SubjectReader, context_weights
from kedit.models.activations import Site, read
from kedit.models.tokens import Text, encode


def fact(left: str, subject: str, right: str) -> Fact:
    return Fact(Prompt(left, subject, right), "new", "old")


BORN = fact("", "Mira Solano", " was born in")
PLAYS = fact("", "Mira Solano", " plays for")
TONGUE = fact("The mother tongue of ", "Mira Solano", " is")
OTHER = fact("", "Ada", " plays for")


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_groups_are_by_prefix_not_by_subject(family: str) -> None:
    model = random_model(family)
    groups = equal_keys(model, [BORN, OTHER, TONGUE, PLAYS])
    assert groups == (0, 1, 2, 0)
    assert members(groups) == [[0, 3], [1], [2]]
    assert each_alone(model, [BORN, PLAYS]) == (0, 1)


@pytest.mark.parametrize("family", ["gpt2", "gptj", "llama", "qwen2"])
def test_equal_prefixes_have_equal_keys_bit_for_bit(family: str) -> None:
    model = random_model(family)
    reader = SubjectReader(model, [BORN, OTHER, TONGUE, PLAYS], ("", "Rain fell. "), "groups")
    keys = reader.read(model, averaged=[Site("key", 1)])[Site("key", 1)]
    assert torch.equal(keys[:, 0], keys[:, 3])
    assert not torch.allclose(keys[:, 0], keys[:, 2])
    assert not torch.allclose(keys[:, 0], keys[:, 1])


def test_a_key_is_the_weighted_mean_over_contexts() -> None:
    model = random_model("gpt2")
    contexts, site = ("", "Rain fell. ", "2012. "), Site("key", 2)
    by_hand = []
    for context in contexts:
        (row,) = encode(model.tokenizer, [Text(PLAYS.prompt, prefix=context)])
        by_hand.append(read(model, [row], [row.subject_last or 0], [site])[site][0].double())
    for average, weights in (("groups", [0.5, 0.25, 0.25]), ("flat", [1 / 3] * 3)):
        reader = SubjectReader(model, [PLAYS], contexts, average)  # type: ignore[arg-type]
        expected = sum(w * k for w, k in zip(weights, by_hand, strict=True))
        torch.testing.assert_close(reader.read(model, averaged=[site])[site][:, 0], expected, rtol=1e-5, atol=1e-6)
        bare = reader.read(model, bare=[site])[site][:, 0]
        torch.testing.assert_close(bare, by_hand[0], rtol=1e-5, atol=1e-6)


def test_weights_of_the_bare_prompt() -> None:
    assert context_weights(6, "groups").tolist() == pytest.approx([0.5] + [0.1] * 5)
    assert context_weights(1, "groups").tolist() == [1.0]
    assert context_weights(4, "flat").tolist() == [0.25] * 4


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("starts", [(), ("The", "Because")])
def test_contexts_are_seeded_and_free_of_special_text(family: str, starts: tuple[str, ...]) -> None:
    model = random_model(family)
    config = ContextConfig(count=4, length=6, starts=starts)
    contexts = sample_contexts(model, config)
    state = torch.get_rng_state()
    torch.rand(3)
    assert sample_contexts(model, config) == contexts
    torch.set_rng_state(state)
    assert contexts[0] == "" and len(contexts) == 5
    special = set(model.tokenizer.all_special_tokens)
    for i, context in enumerate(contexts[1:]):
        assert context.endswith(". ") and not any(word in context for word in special)
        assert not starts or context.startswith(starts[i % 2])
        assert "\ufffd" not in context
    assert sample_contexts(model, ContextConfig(count=4, length=6, starts=starts, seed=1)) != contexts


def test_two_models_do_not_share_contexts() -> None:
    config = ContextConfig(count=2, length=8)
    assert sample_contexts(random_model("gpt2", seed=0), config) != sample_contexts(
        random_model("gpt2", seed=1), config
    )
