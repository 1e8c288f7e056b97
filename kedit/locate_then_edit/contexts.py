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
    texts = []
    for i in range(config.count):
        word = words[i % len(words)]
        ids = [start, *tokenizer(word, add_special_tokens=False)["input_ids"]] if word else [start]
        texts.append(_continue(model, ids, config, generator))
    return (BARE, *texts)


def _continue(model: LanguageModel, start: list[int], config: ContextConfig, generator: torch.Generator) -> str:
    ids = list(start)
    special = sorted(set(model.tokenizer.all_special_ids))
    with torch.no_grad(), model.frozen():
        for _ in range(config.length):
            batch = collate([Row(tuple(ids), None, len(ids))], device=model.device)
            logits = model.head(run(model, batch, use_cache=False).last_hidden_state[0, -1]).float().cpu()
            logits[[i for i in special if i < len(logits)]] = -torch.inf
            best = logits.topk(config.top_k)
            choice = torch.multinomial(best.values.softmax(-1), 1, generator=generator)
            ids.append(int(best.indices[choice]))
    text = str(model.tokenizer.decode(ids[1:], skip_special_tokens=True))
    return " ".join(text.replace("\ufffd", "").split()).rstrip(". ") + ". "
