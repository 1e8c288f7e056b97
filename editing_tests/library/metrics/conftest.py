# SPDX-License-Identifier: Apache-2.0
"""A real GPT-2 over the vocabulary a, b, c that is a bigram table, so that every number can be had by hand."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from kedit.models.language_model import LanguageModel

# P(next | current): rows and columns a, b, c.
TABLE = ((1 / 2, 1 / 4, 1 / 4), (1 / 8, 1 / 2, 3 / 8), (1 / 4, 1 / 8, 5 / 8))


@pytest.fixture(scope="session")
def bigram() -> LanguageModel:
    config = GPT2Config(
        vocab_size=3, n_positions=8, n_embd=4, n_layer=1, n_head=1, layer_norm_epsilon=1e-12, tie_word_embeddings=False,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    module = GPT2LMHeadModel(config)
    # Orthogonal, mean 0, variance 1: the final norm leaves them as they are.
    embeddings = torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]])
    with torch.no_grad():
        for parameter in module.transformer.h.parameters():
            parameter.zero_()
        module.transformer.wpe.weight.zero_()
        module.transformer.wte.weight.copy_(embeddings)
        module.lm_head.weight.copy_(torch.tensor(TABLE).log().T @ embeddings / 4)
    words = Tokenizer(WordLevel({"a": 0, "b": 1, "c": 2}, unk_token="a"))
    words.pre_tokenizer = WhitespaceSplit()
    return LanguageModel(module.eval(), PreTrainedTokenizerFast(tokenizer_object=words), name="bigram")
