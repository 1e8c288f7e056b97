# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from kedit.metrics import PPL, MetricError, model_perplexity, token_log_probs
from kedit.models.language_model import LanguageModel


def test_by_hand(bigram: LanguageModel) -> None:
    # "a b c": 1/4, 3/8; "a a": 1/2. Three predicted tokens of five; dividing by five would give 1.8.
    assert model_perplexity(bigram, ["a b c", "a a"]) == pytest.approx((64 / 3) ** (1 / 3), rel=1e-6)


def test_padding_is_not_counted(bigram: LanguageModel) -> None:
    texts = ["a b c a b c", "b b", "c a c"]
    alone = [token_log_probs(bigram, [text])[0] for text in texts]
    for together in (token_log_probs(bigram, texts), token_log_probs(bigram, texts, batch_tokens=6)):
        assert [len(one) for one in together] == [5, 1, 2]
        for one, other in zip(together, alone, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_tokens_are_pooled_not_texts() -> None:
    pooled = PPL([torch.tensor([0.5, 0.5, 0.5]).log(), torch.tensor([0.125]).log()])
    assert pooled == pytest.approx(2 ** (6 / 4))


@pytest.mark.parametrize("texts", [[], ["a"], ["a b", "c"]])
def test_nothing_predicted_gives_no_perplexity(bigram: LanguageModel, texts: list[str]) -> None:
    with pytest.raises(MetricError):
        model_perplexity(bigram, texts)


def test_a_text_longer_than_the_model_is_refused(bigram: LanguageModel) -> None:
    with pytest.raises(MetricError, match="text 1 has 9 tokens, bigram has 8 positions"):
        model_perplexity(bigram, ["a b", "a b c a b c a b c"])
