# SPDX-License-Identifier: Apache-2.0
"""A stream of texts as rows of tokens, in portions that are the same on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kedit.facts import Prompt
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import Row, Text, encode, tokenizer_fingerprint

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Portion", "beginning", "portions", "row_limit", "rows_of"]

# Longest row, whatever the device; attention over longer ones costs more than it tells about keys.
ROW_TOKENS = 2048
# Texts that are encoded at once.
TEXTS = 64


@dataclass(frozen=True, slots=True)
class Portion:
    """Some neighboring rows of a corpus.

    Attributes:
        index: number in the stream, from 0.
        rows: its rows.
        tokens: number of tokens in them.
        seen: tokens of the stream up to its end.
        documents: texts of the stream that were begun by then.
        fingerprint: hash of these texts and of what makes rows of them.
    """

    index: int
    rows: tuple[Row, ...]
    tokens: int
    seen: int
    documents: int
    fingerprint: str


def row_limit(model: LanguageModel) -> int:
    """Most tokens of a row: the model's context, but at most 2048."""
    positions = getattr(model.module.config, "max_position_embeddings", None)
    return min(ROW_TOKENS, int(positions or ROW_TOKENS))


def beginning(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], tokens: int) -> Iterator[str]:
    """The first texts that have at least so many tokens together; all of them if they have fewer."""
    for text in texts:
        if tokens <= 0:
            return
        yield text
        tokens -= len(tokenizer(text, padding=False, truncation=False, verbose=False)["input_ids"])


def rows_of(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], limit: int) -> Iterator[tuple[str, list[Row]]]:
    """Each text and its rows: one, or several where it is longer than `limit` tokens."""
    stream = iter(texts)
    while group := [text for _, text in zip(range(TEXTS), stream, strict=False)]:
        for text, row in zip(group, encode(tokenizer, [Text(Prompt(text, "", "")) for text in group]), strict=True):
            pieces = [row.ids[start : start + limit] for start in range(0, len(row.ids), limit)]
            yield text, [Row(ids, None, len(ids)) for ids in pieces]


def portions(
    tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], *, limit: int, size: int, tokens: int
) -> Iterator[Portion]:
    """Portions of at least `size` tokens; the last one ends with token number `tokens`, or with the texts."""
    digest = hashlib.sha256(f"{tokenizer_fingerprint(tokenizer)} {limit}".encode())
    kept: list[Row] = []
    index = count = seen = documents = 0

    def portion() -> Portion:
        return Portion(index, tuple(kept), count, seen, documents, digest.hexdigest())

    for text, rows in rows_of(tokenizer, texts, limit):
        digest.update(text.encode() + b"\0")
        documents += 1
        for row in rows:
            used = row.cut(min(len(row.ids), tokens - seen))
            kept.append(used)
            count, seen = count + len(used.ids), seen + len(used.ids)
            if count >= size or seen == tokens:
                yield portion()
                index, count, kept = index + 1, 0, []
            if seen == tokens:
                return
    if kept:
        yield portion()
