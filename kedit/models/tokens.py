# SPDX-License-Identifier: Apache-2.0
"""Tokens and positions, always from the character offsets of one joint encoding.

Prompt and target are never tokenised apart and never decoded and encoded again: the ids are those of the whole
sentence, so a leading blank, a lone word-boundary piece, a BOS token or a cut character cannot shift a label.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from kedit.facts import FactError, Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Batch", "Row", "Text", "collate", "encode", "subject_spans", "tokenizer_fingerprint"]

Side = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence to encode: `prefix + prompt + " " + target`; the target may be absent."""

    prompt: Prompt
    target: str | None = None
    prefix: str = ""

    @property
    def context(self) -> str:
        """Everything before the target."""
        return self.prefix + self.prompt.text

    @property
    def full(self) -> str:
        """The whole sentence."""
        return self.context if self.target is None else f"{self.context} {self.target}"


@dataclass(frozen=True, slots=True)
class Row:
    """One encoded sentence.

    Attributes:
        ids: token ids, special tokens included.
        subject_last: index of the subject's last token, or None when the prompt marks no subject.
        target_start: index of the first target token; equals `len(ids)` without a target.
    """

    ids: tuple[int, ...]
    subject_last: int | None
    target_start: int

    @property
    def target_ids(self) -> tuple[int, ...]:
        """The ids of the target, the suffix of the sentence."""
        return self.ids[self.target_start :]

    def cut(self, length: int) -> Row:
        """The first `length` tokens."""
        return Row(self.ids[:length], self.subject_last, min(self.target_start, length))


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded rows.

    Attributes:
        ids, mask, positions: `(B, T)` int64; positions count real tokens from 0, whatever the padding side.
        first: `(B,)` int64, the column of each row's token 0.
    """

    ids: Tensor
    mask: Tensor
    positions: Tensor
    first: Tensor

    def columns(self, indices: Sequence[int]) -> Tensor:
        """Columns `(B,)` of one token index a row."""
        return self.first + torch.tensor(indices, dtype=torch.long, device=self.first.device)


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text]) -> list[Row]:
    """Encode sentences jointly and find subject and target by offsets.

    Raises:
        FactError: a subject or a target that has no token.
    """
    if not texts:
        return []
    full = [text.full for text in texts]
    encoded = tokenizer(full, return_offsets_mapping=True, padding=False, truncation=False, verbose=False)
    return [
        _locate(text, ids, offsets)
        for text, ids, offsets in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True)
    ]


def subject_spans(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text]) -> list[range]:
    """The tokens of each text's subject; the last is the row's `subject_last`.

    Raises:
        FactError: a text marks no subject, or its subject has no token.
    """
    encoded = tokenizer([text.full for text in texts], return_offsets_mapping=True, padding=False, truncation=False)
    spans = []
    for text, offsets in zip(texts, encoded["offset_mapping"], strict=True):
        if not text.prompt.subject:
            raise FactError(f"{text.full!r} marks no subject; name it")
        touching = _touching(text, offsets)
        spans.append(range(touching[0], touching[-1] + 1))
    return spans


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash of all that decides which ids a text gets: vocabulary, merges, normalisation, start tokens.

    Padding and truncation, which the last call leaves set, are no part of it.
    """
    told = json.loads(tokenizer.backend_tokenizer.to_str())
    rules = {name: value for name, value in told.items() if name not in ("padding", "truncation")}
    return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()


def _touching(text: Text, offsets: Sequence[tuple[int, int]]) -> list[int]:
    """The tokens that share a character with the subject."""
    start, end = (len(text.prefix) + edge for edge in text.prompt.subject_span)
    touching = [i for i, (left, right) in enumerate(offsets) if left < right and left < end and right > start]
    if not touching:
        raise FactError(f"subject {text.prompt.subject!r} has no token in {text.full!r}; check the tokenizer")
    return touching


def _locate(text: Text, ids: Sequence[int], offsets: Sequence[tuple[int, int]]) -> Row:
    subject_last: int | None = None
    if text.prompt.subject:
        subject_last = _touching(text, offsets)[-1]
    target_start = len(ids)
    if text.target is not None:
        border = len(text.context)
        target = [i for i, (left, right) in enumerate(offsets) if left < right and right > border]
        if not target:
            raise FactError(f"target {text.target!r} has no token after {text.context!r}; check the tokenizer")
        target_start = target[0]
        if target_start == 0:
            raise FactError(f"prompt {text.context!r} has no token before its target; give a longer prompt")
    return Row(tuple(ids), subject_last, target_start)


def collate(rows: Sequence[Row], *, pad_id: int = 0, side: Side = "right", device: torch.device | str = "cpu") -> Batch:
    """Pad rows on either side; the pad id is masked out and never seen."""
    width = max(len(row.ids) for row in rows)
    ids, mask, positions, first = [], [], [], []
    for row in rows:
        n = len(row.ids)
        pad = width - n
        before, after = (pad, 0) if side == "left" else (0, pad)
        ids.append([pad_id] * before + list(row.ids) + [pad_id] * after)
        mask.append([0] * before + [1] * n + [0] * after)
        positions.append([0] * before + list(range(n)) + [0] * after)
        first.append(before)
    tensors = (torch.tensor(part, dtype=torch.long, device=device) for part in (ids, mask, positions, first))
    return Batch(*tensors)
