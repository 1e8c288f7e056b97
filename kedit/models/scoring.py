# SPDX-License-Identifier: Apache-2.0
"""Teacher-forced scores of targets, by the ids of the joint encoding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    # What a row's scores depend on is its input; a row whose input begins another's is read off that one's pass.
    inputs = [row.ids[:-1] for row in rows]
    carriers = _carriers(inputs)
    carried: dict[tuple[int, ...], list[int]] = {}
    for i, ids in enumerate(inputs):
        carried.setdefault(carriers[ids], []).append(i)
    results: dict[int, Scored] = {}
    passes = list(carried)
    with torch.no_grad(), model.frozen():
        for chunk in chunks([len(ids) for ids in passes], batch_tokens):
            which = [passes[c] for c in chunk]
            read = [i for ids in which for i in carried[ids]]
            lines = [line for line, ids in enumerate(which) for _ in carried[ids]]
            results.update(zip(read, _score_chunk(model, which, lines, [rows[i] for i in read]), strict=True))
    return [results[i] for i in range(len(rows))]


def _carriers(inputs: Iterable[tuple[int, ...]]) -> dict[tuple[int, ...], tuple[int, ...]]:
    """For each input a longest one that begins with it; in sorted order those stand right behind it."""
    carriers: dict[tuple[int, ...], tuple[int, ...]] = {}
    last: tuple[int, ...] = ()
    for ids in sorted(set(inputs), reverse=True):
        carriers[ids] = last = last if last[: len(ids)] == ids else ids
    return carriers


def _score_chunk(
    model: LanguageModel, inputs: Sequence[tuple[int, ...]], lines: Sequence[int], rows: Sequence[Row]
) -> list[Scored]:
    """Scores of `rows`, each read off the line of `inputs` that begins like it."""
    batch = collate([Row(ids, None, len(ids)) for ids in inputs], device=model.device)
    hidden = run(model, batch, use_cache=False).last_hidden_state
    reads = [
        (line, row.target_start - 1 + t, token)
        for line, row in zip(lines, rows, strict=True)
        for t, token in enumerate(row.target_ids)
    ]
    line, column, targets = torch.tensor(reads, device=hidden.device).T
    logits = model.head(hidden[line, column]).float()
    targets = targets.to(logits.device)
    best = logits.argmax(-1) == targets
    log_probs = torch.log_softmax(logits, -1).gather(-1, targets[:, None])[:, 0].double()
    sizes = [len(row.target_ids) for row in rows]
    return [
        Scored(part.cpu(), bool(hits.all()))
        for part, hits in zip(log_probs.split(sizes), best.split(sizes), strict=True)
    ]
