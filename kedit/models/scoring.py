# SPDX-License-Identifier: Apache-2.0
"""Teacher-forced scores of targets, by the ids of the joint encoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kedit.facts import Prompt
from kedit.models.activations import BATCH_TOKENS, chunks, run
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import Row, Text, collate, encode

__all__ = ["Scored", "score_targets", "score_texts"]


@dataclass(frozen=True, slots=True)
class Scored:
    """One scored target.

    Attributes:
        log_probs: `(T,)` float64, natural log-probability of each target token given all before it.
        greedy: every target token is the argmax where it stands, so greedy decoding writes exactly the target.
    """

    log_probs: Tensor
    greedy: bool

    @property
    def mean(self) -> float:
        """Mean log-probability a token, in nats; ES, PS and NS compare these."""
        return float(self.log_probs.mean())


def score_targets(
    model: LanguageModel, pairs: Sequence[tuple[str, str]], *, batch_tokens: int = BATCH_TOKENS
) -> list[Scored]:
    """Score `(prompt, target)` pairs; the target follows its prompt after one space.

    Raises:
        FactError: a prompt or a target without a token.
    """
    texts = [Text(Prompt(prompt, "", ""), target) for prompt, target in pairs]
    return _score(model, encode(model.tokenizer, texts), batch_tokens)


def score_texts(model: LanguageModel, texts: Sequence[str], *, batch_tokens: int = BATCH_TOKENS) -> list[Scored]:
    """Score every token of a text but the first, which nothing precedes."""
    rows = encode(model.tokenizer, [Text(Prompt(text, "", "")) for text in texts])
    return _score(model, [Row(row.ids, None, 1) for row in rows], batch_tokens)


def _score(model: LanguageModel, rows: Sequence[Row], batch_tokens: int) -> list[Scored]:
    results: list[Scored | None] = [None] * len(rows)
    # Equal sentences are scored once: a neighborhood prompt often serves several facts.
    first: dict[tuple[tuple[int, ...], int], int] = {}
    for i, row in enumerate(rows):
        first.setdefault((row.ids, row.target_start), i)
    distinct = list(first.values())
    with torch.no_grad(), model.frozen():
        for chunk in chunks([len(rows[i].ids) for i in distinct], batch_tokens):
            which = [distinct[c] for c in chunk]
            for i, scored in zip(which, _score_chunk(model, [rows[i] for i in which]), strict=True):
                results[i] = scored
    done = [results[first[(row.ids, row.target_start)]] for row in rows]
    return [scored for scored in done if scored is not None]


def _score_chunk(model: LanguageModel, rows: Sequence[Row]) -> list[Scored]:
    batch = collate([row.cut(len(row.ids) - 1) for row in rows], device=model.device)
    hidden = run(model, batch, use_cache=False).last_hidden_state
    lines = [i for i, row in enumerate(rows) for _ in row.target_ids]
    columns = [row.target_start - 1 + t for row in rows for t in range(len(row.target_ids))]
    targets = torch.tensor([token for row in rows for token in row.target_ids], device=hidden.device)
    logits = model.head(hidden[lines, columns]).float()
    best = logits.argmax(-1) == targets
    log_probs = torch.log_softmax(logits, -1).gather(-1, targets[:, None])[:, 0].double()
    sizes = [len(row.target_ids) for row in rows]
    return [
        Scored(part.cpu(), bool(hits.all()))
        for part, hits in zip(log_probs.split(sizes), best.split(sizes), strict=True)
    ]
