# SPDX-License-Identifier: Apache-2.0
"""Context prefixes: short texts put before a prompt, so that a key is not that of one sentence only."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from kedit.models.activations import run
from kedit.models.language_model import LanguageModel, ModelError
from kedit.models.tokens import Row, collate

__all__ = ["BARE", "ContextConfig", "sample_contexts"]

BARE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextConfig:
    """How prefixes are sampled.

    Attributes:
        count: number of sampled prefixes, beside the bare prompt.
        length: tokens a prefix.
        top_k: tokens to choose from at each step.
        seed: seed of the sampling.
        starts: words to start from in turn; empty for the model's own start token. The published code starts from
            "The", "Therefore", "Because", "I", "You", the papers name none.
    """

    count: int = 5
    length: int = 10
    top_k: int = 5
    seed: int = 0
    starts: tuple[str, ...] = ()


def sample_contexts(model: LanguageModel, config: ContextConfig) -> tuple[str, ...]:
    """The bare context first, then `count` prefixes sampled from the model, each ending in ". ".

    Special tokens are never sampled, so no prefix contains one.

    Raises:
        ModelError: the tokenizer has neither a start nor an end token to begin from.
    """
    if config.count == 0:
        return (BARE,)
    generator = torch.Generator().manual_seed(config.seed)
    tokenizer = model.tokenizer
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    if start is None:
        raise ModelError(f"{model.name}: the tokenizer has no bos or eos token to start a context from")
    words = config.starts or (BARE,)
    rows = []
    for i in range(config.count):
        word = words[i % len(words)]
        rows.append([start, *(tokenizer(word, add_special_tokens=False)["input_ids"] if word else ())])
    special = sorted(i for i in set(tokenizer.all_special_ids) if i < model.head_size)
    with torch.no_grad(), model.frozen():
        for _ in range(config.length):
            for row, token in zip(rows, _next(model, rows, special, config.top_k, generator), strict=True):
                row.append(token)
    return (BARE, *(_prefix(str(tokenizer.decode(row[1:], skip_special_tokens=True))) for row in rows))


def _next(
    model: LanguageModel, rows: list[list[int]], special: list[int], top_k: int, generator: torch.Generator
) -> list[int]:
    batch = collate([Row(tuple(row), None, len(row)) for row in rows], device=model.device)
    hidden = run(model, batch, use_cache=False).last_hidden_state
    last = torch.tensor([len(row) - 1 for row in rows])
    logits = model.head(hidden[torch.arange(len(rows)), last]).float().cpu()
    logits[:, special] = -torch.inf
    best = logits.topk(top_k)
    choice = torch.multinomial(best.values.softmax(-1), 1, generator=generator)
    return [int(token) for token in best.indices.gather(1, choice)[:, 0]]


def _prefix(text: str) -> str:
    # A cut multi-byte character decodes to U+FFFD, which would not encode back to itself.
    return " ".join(text.replace("\ufffd", "").split()).rstrip(". ") + ". "
