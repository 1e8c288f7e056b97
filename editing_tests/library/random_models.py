# SPDX-License-Identifier: Apache-2.0
"""Small models with seeded random weights, one for each row of the architecture table, with real tokenizers.

They show mechanics (positions, padding, hooks, orientation), not knowledge.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    GemmaConfig,
    GPT2Config,
    GPTJConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedTokenizerBase,
    Qwen2Config,
)

from kedit.models import LanguageModel, random_weights
from kedit.paths import fixtures_dir

TINY = ("tiny-gpt2", "tiny-gptj", "tiny-llama", "tiny-qwen2")
WIDTH, KEYS, BLOCKS, HEADS, POSITIONS = 16, 24, 4, 2, 96

TOKENIZER_OF = {
    "gpt2": "tiny-gpt2",
    "gptj": "tiny-gptj",
    "gpt_neox": "tiny-gpt2",
    "llama": "tiny-llama",
    "mistral": "tiny-llama",
    "gemma": "tiny-llama",
    "qwen2": "tiny-qwen2",
}
FAMILIES = tuple(TOKENIZER_OF)


@cache
def tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a tiny model; tests leave it as it is."""
    return AutoTokenizer.from_pretrained(fixtures_dir() / "models" / name, local_files_only=True)


def random_model(family: str, *, seed: int = 0, keys: int = KEYS, dtype: torch.dtype = torch.float32) -> LanguageModel:
    """A fresh model of a family, d = 16, four blocks; `keys = 16` makes the edited weight square."""
    words = tokenizer(TOKENIZER_OF[family])
    specials = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id, "pad_token_id": None}
    common: dict[str, Any] = {"vocab_size": len(words), "initializer_range": 0.2, **specials}
    gpt: dict[str, Any] = {
        "n_positions": POSITIONS,
        "n_embd": WIDTH,
        "n_layer": BLOCKS,
        "n_head": HEADS,
        "n_inner": keys,
    }
    llama: dict[str, Any] = {
        "max_position_embeddings": POSITIONS,
        "hidden_size": WIDTH,
        "num_hidden_layers": BLOCKS,
        "num_attention_heads": HEADS,
        "intermediate_size": keys,
    }
    grouped = llama | {"num_key_value_heads": 1}
    config = {
        "gpt2": lambda: GPT2Config(**common, **gpt),
        "gptj": lambda: GPTJConfig(**common, **gpt, rotary_dim=4, tie_word_embeddings=False),
        "gpt_neox": lambda: GPTNeoXConfig(**common, **llama),
        "llama": lambda: LlamaConfig(**common, **llama),
        "mistral": lambda: MistralConfig(**common, **grouped),
        "gemma": lambda: GemmaConfig(**common, **grouped, head_dim=8),
        "qwen2": lambda: Qwen2Config(**common, **grouped, tie_word_embeddings=True),
    }[family]()
    return random_weights.random_model(config, seed=seed, dtype=dtype, tokenizer=words, name=f"random {family}")
