# SPDX-License-Identifier: Apache-2.0
"""Other target tokens than those the model would say, and fine-tuning on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from editing_tests.mutants.patching import Patched
from editing_tests.mutants.positions import VALUES
from kedit.editors.fine_tuning import FtL, FtM
from kedit.editors.memit import Memit
from kedit.models.tokens import Row


def encoded_apart(encode: Any, tokenizer: Any, texts: Any, **kwargs: Any) -> list[Row]:
    """Rows whose target is tokenised alone and put behind the tokens of the prompt."""
    rows = encode(tokenizer, texts)
    return [
        row
        if text.target is None
        else replace(row, ids=(*row.ids[: row.target_start], *tokenizer(text.target, **kwargs)["input_ids"]))
        for text, row in zip(texts, rows, strict=True)
    ]


def without_blank(encode: Any, tokenizer: Any, texts: Any) -> list[Row]:
    return encoded_apart(encode, tokenizer, texts, add_special_tokens=False)


def blank_twice(encode: Any, tokenizer: Any, texts: Any) -> list[Row]:
    return encode(
        tokenizer, [text if text.target is None else replace(text, target=f" {text.target}") for text in texts]
    )


def first_token(encode: Any, tokenizer: Any, texts: Any) -> list[Row]:
    return [row.cut(row.target_start + 1) for row in encode(tokenizer, texts)]


def without_first_piece(encode: Any, tokenizer: Any, texts: Any) -> list[Row]:
    return [
        replace(row, ids=row.ids[: row.target_start] + row.target_ids[1:]) if len(row.target_ids) > 1 else row
        for row in encode(tokenizer, texts)
    ]


def read_one_early(labels: Any, *args: Any) -> tuple[Tensor, ...]:
    lines, columns, found, weights = labels(*args)
    return lines, columns - 1, found, weights


def with_pads(labels: Any, rows: Any, *args: Any) -> tuple[Tensor, ...]:
    found = labels(rows, *args)
    width = max(len(row.ids) for row in rows) - 1
    pads = [(i, column) for i, row in enumerate(rows) for column in range(len(row.ids) - 1, width)]
    if not pads:
        return found
    more = torch.tensor(pads).T
    extra = more[0], more[1], torch.zeros(len(pads), dtype=torch.long), torch.full((len(pads),), 1 / len(rows))
    return tuple(torch.cat(parts) for parts in zip(found, extra, strict=True))


class BosInLabels(Patched, Memit):
    """The target is tokenised alone with special tokens, so its first label is BOS."""

    wrong = ((VALUES, encoded_apart),)


class TargetWithoutBlank(Patched, Memit):
    """The target is tokenised alone and without its blank, so the labels are pieces that never follow a word."""

    wrong = ((VALUES, without_blank),)


class BlankTwice(Patched, Memit):
    """Two blanks stand between prompt and target."""

    wrong = ((VALUES, blank_twice),)


class FirstTokenOnly(Patched, Memit):
    """Values are searched for the first token of the target only."""

    wrong = ((VALUES, first_token),)


class FirstPieceDropped(Patched, Memit):
    """The first piece of a longer target is dropped, as if it were a lone word boundary."""

    wrong = ((VALUES, without_first_piece),)


class LabelsOneEarly(Patched, FtM):
    """Every label is asked for one token too early."""

    wrong = (("kedit.editors.fine_tuning._labels", read_one_early),)


class PadsInLabels(Patched, FtM):
    """Padding counts as a label of the shorter facts of a batch."""

    wrong = (("kedit.editors.fine_tuning._labels", with_pads),)


class AllAtThePrompt(FtM):
    """Every target token is asked for at the last token of the prompt."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"objective": "prompt-last"} | settings)


class BallMissing(FtL):
    """The weights are not kept in the ball."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"epsilon": 1e9} | settings)
