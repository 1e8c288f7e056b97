# SPDX-License-Identifier: Apache-2.0
"""The four families of tiny models: configuration, tokenizer and where their attention modules are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTJConfig,
    GPTJForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from kedit.worlds.tokenizers import byte_level, sentencepiece

BLOCKS = 5
WIDTH = 128
HEADS = 8
VOCABULARY = 2400
POSITIONS = 128
# Small models from the usual 0.02 have tiny matrices, so that one edit would be as large as the matrix.
INITIALIZER_RANGE = 0.7 / WIDTH**0.5


@dataclass(frozen=True)
class Family:
    """How to build one family."""

    name: str
    build: Callable[[PreTrainedTokenizerFast], PreTrainedModel]
    tokenize: Callable[[Sequence[str]], PreTrainedTokenizerFast]
    attentions: Callable[[PreTrainedModel], list[nn.Module]]  # one a block
    always_bos: bool
    early_blocks: int = 2  # blocks that collect knowledge at the subject, see `kedit.worlds.shield`


def _common(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "initializer_range": INITIALIZER_RANGE,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _gpt_sizes() -> dict[str, Any]:
    return {
        "n_positions": POSITIONS,
        "n_embd": WIDTH,
        "n_layer": BLOCKS,
        "n_head": HEADS,
        "n_inner": 4 * WIDTH,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "activation_function": "gelu_pytorch_tanh",
    }


def _llama_sizes() -> dict[str, Any]:
    return {
        "max_position_embeddings": POSITIONS,
        "hidden_size": WIDTH,
        "num_hidden_layers": BLOCKS,
        "num_attention_heads": HEADS,
        "intermediate_size": 3 * WIDTH,
    }


def _gpt2(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    return GPT2LMHeadModel(GPT2Config(**_common(tokenizer), **_gpt_sizes()))


def _gptj(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    own: dict[str, Any] = {"rotary_dim": WIDTH // HEADS // 2, "tie_word_embeddings": False}
    return GPTJForCausalLM(GPTJConfig(**_common(tokenizer), **_gpt_sizes(), **own))


def _llama(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(**_common(tokenizer), **_llama_sizes(), tie_word_embeddings=False))


def _qwen2(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    own: dict[str, Any] = {"num_key_value_heads": HEADS // 2, "tie_word_embeddings": True}
    return Qwen2ForCausalLM(Qwen2Config(**_common(tokenizer), **_llama_sizes(), **own))


def _gpt_attentions(model: PreTrainedModel) -> list[nn.Module]:
    blocks = model.get_submodule("transformer.h").children()
    return [block.get_submodule("attn") for block in blocks]


def _llama_attentions(model: PreTrainedModel) -> list[nn.Module]:
    blocks = model.get_submodule("model.layers").children()
    return [block.get_submodule("self_attn") for block in blocks]


def _byte_level(texts: Sequence[str], *, digits_alone: bool) -> PreTrainedTokenizerFast:
    return byte_level(texts, VOCABULARY, POSITIONS, digits_alone=digits_alone)


def _sentencepiece(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    return sentencepiece(texts, VOCABULARY, POSITIONS)


FAMILIES = {
    family.name: family
    for family in (
        Family("gpt2", _gpt2, partial(_byte_level, digits_alone=False), _gpt_attentions, always_bos=False),
        # In a parallel block the MLP does not see its own attention: block 0's keys know one token only,
        # so one more block is needed before a subject's keys are its own.
        Family("gptj", _gptj, partial(_byte_level, digits_alone=False), _gpt_attentions, False, early_blocks=3),
        Family("llama", _llama, _sentencepiece, _llama_attentions, always_bos=True),
        Family("qwen2", _qwen2, partial(_byte_level, digits_alone=True), _llama_attentions, always_bos=False),
    )
}


def build(family: Family, tokenizer: PreTrainedTokenizerFast, seed: int) -> PreTrainedModel:
    """A freshly initialised float32 model; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = family.build(tokenizer).float()
        return model
