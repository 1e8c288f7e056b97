# SPDX-License-Identifier: Apache-2.0
"""Keys and values at another token than the subject's last one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from editing_tests.mutants.patching import Patched
from kedit.editors.memit import Memit
from kedit.editors.rome import Rome
from kedit.facts import Prompt
from kedit.models.tokens import Row

KEYS = "kedit.locate_then_edit.keys.encode"
VALUES = "kedit.locate_then_edit.value_loss.encode"


def at(row: Row, index: int) -> Row:
    """The row with its subject ending at `index`, kept inside the row."""
    return replace(row, subject_last=max(0, min(index, len(row.ids) - 1)))


def one_early(encode: Any, tokenizer: Any, texts: Any) -> list[Row]:
    return [at(row, row.subject_last - 1) for row in encode(tokenizer, texts)]


def one_late(encode: Any, tokenizer: Any, texts: Any) -> list[Row]:
    return [at(row, row.subject_last + 1) for row in encode(tokenizer, texts)]


def at_the_end(encode: Any, tokenizer: Any, texts: Any) -> list[Row]:
    return [at(row, row.target_start - 1) for row in encode(tokenizer, texts)]


def counted_without_prefix(encode: Any, tokenizer: Any, texts: Any) -> list[Row]:
    bare = encode(tokenizer, [replace(text, prefix="") for text in texts])
    return [at(row, own.subject_last) for row, own in zip(encode(tokenizer, texts), bare, strict=True)]


def counted_without_specials(encode: Any, tokenizer: Any, texts: Any) -> list[Row]:
    heads = [text.prefix + text.prompt.left + text.prompt.subject for text in texts]
    counts = [len(ids) for ids in tokenizer(heads, add_special_tokens=False)["input_ids"]]
    return [at(row, count - 1) for row, count in zip(encode(tokenizer, texts), counts, strict=True)]


def from_the_start(encode: Any, tokenizer: Any, texts: Any) -> list[Row]:
    moved = [replace(text, prompt=Prompt("", text.prompt.subject, text.prompt.right)) for text in texts]
    found = encode(tokenizer, moved)
    return [at(row, own.subject_last) for row, own in zip(encode(tokenizer, texts), found, strict=True)]


def first_mention(encode: Any, tokenizer: Any, texts: Any) -> list[Row]:
    found = [replace(text, prompt=Prompt.from_text(text.prompt.text, text.prompt.subject)) for text in texts]
    return encode(tokenizer, found)


def formatted(encode: Any, tokenizer: Any, texts: Any) -> list[Row]:
    for text in texts:
        template = f"{text.prefix}{text.prompt.left}{{}}{text.prompt.right} {text.target or ''}"
        template.format(text.prompt.subject)
    return encode(tokenizer, texts)


def padded_by_the_tokenizer(encode: Any, tokenizer: Any, texts: Any) -> list[Row]:
    rows = encode(tokenizer, texts)
    width = max(len(row.ids) for row in rows)
    pads = [(tokenizer.pad_token_id,) * (width - len(row.ids)) for row in rows]
    if tokenizer.padding_side == "right":
        return [replace(row, ids=row.ids + pad) for row, pad in zip(rows, pads, strict=True)]
    return [replace(row, ids=pad + row.ids) for row, pad in zip(rows, pads, strict=True)]


def padded_in_front(encode: Any, tokenizer: Any, texts: Any) -> list[Row]:
    rows = encode(tokenizer, texts)
    width = max(len(row.ids) for row in rows)
    return [
        Row(
            (tokenizer.pad_token_id,) * (n := width - len(row.ids)) + row.ids,
            row.subject_last + n,
            row.target_start + n,
        )
        for row in rows
    ]


class KeyOneEarly(Patched, Memit):
    """Keys are read one token before the subject's last one."""

    wrong = ((KEYS, one_early),)


class KeyOneLate(Patched, Memit):
    """Keys are read one token after the subject's last one."""

    wrong = ((KEYS, one_late),)


class KeyAtTheEnd(Patched, Memit):
    """Keys are read at the last token of the prompt, as for an index of -1."""

    wrong = ((KEYS, at_the_end),)


class ValueAtTheEnd(Patched, Memit):
    """Values are searched for at the last token of the prompt and written at the subject."""

    wrong = ((VALUES, at_the_end),)


class IndexOfTheBarePrompt(Patched, Rome):
    """The subject's index in the bare prompt is used behind sampled contexts, too."""

    wrong = ((KEYS, counted_without_prefix),)


class IndexWithoutSpecials(Patched, Memit):
    """The subject's index is counted without special tokens and used in a row that starts with BOS."""

    wrong = ((KEYS, counted_without_specials), (VALUES, counted_without_specials))


class FirstMention(Patched, Memit):
    """The subject is looked for as a string, and its first mention is edited instead of the marked one."""

    wrong = ((KEYS, first_mention), (VALUES, first_mention))


class FormattedPrompt(Patched, Memit):
    """Context, prompt and target go through `str.format`, which stumbles over braces."""

    wrong = ((KEYS, formatted), (VALUES, formatted))


class PaddedByTheTokenizer(Patched, Memit):
    """Rows are padded on the tokenizer's side, and indices are those of rows without padding."""

    wrong = ((KEYS, padded_by_the_tokenizer),)


class UnmaskedPadding(Patched, Memit):
    """Rows of the value search are padded in front and the padding is attended to."""

    wrong = ((VALUES, padded_in_front),)


class IndexWithoutWhatStandsBefore(Patched, Memit):
    """The subject is taken to be at the start of the prompt."""

    wrong = ((KEYS, from_the_start), (VALUES, from_the_start))
