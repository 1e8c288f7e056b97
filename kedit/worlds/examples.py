# SPDX-License-Identifier: Apache-2.0
"""Training examples: token ids with the positions of objects and subjects, in batches of similar length."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from kedit.worlds.sentences import Sentence
from kedit.worlds.texts import draw_document
from kedit.worlds.world import World

NOWHERE = 1 << 20  # "subject ends here" for tokens of no subject: later than every position
_PAIRED = 0.33  # share of examples with a second document behind an end-of-text token
_OPENED = 0.5  # share of examples with a begin-of-text token, in families where that is optional
_SHIELDED = 0.9
_POOL = 16  # batches whose examples are sorted by length together


@dataclass(frozen=True, slots=True)
class Example:
    """One sequence of T tokens.

    Attributes:
        ids: token ids, T of them.
        object: 1 where the token belongs to an object, T of them.
        subject_end: for tokens of a subject the position of its last token, else `NOWHERE`.
    """

    ids: list[int]
    object: list[int]
    subject_end: list[int]


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded examples, all `(B, T)`: ids, loss weights of the tokens as targets, subject ends."""

    ids: Tensor
    weights: Tensor
    subject_end: Tensor


def encode_documents(tokenizer: PreTrainedTokenizerFast, documents: Sequence[Sequence[Sentence]]) -> list[Example]:
    """Documents (sentences joined by blanks) to examples without begin or end tokens.

    Positions come from character offsets of one encoding of the whole document.
    """
    texts, spans = [], []
    for document in documents:
        text, marks = "", []
        for sentence in document:
            start = len(text) + (1 if text else 0)
            text = f"{text} {sentence.text}" if text else sentence.text
            left = start + len(sentence.left)
            value = start + len(sentence.prompt)
            # An object's first token starts at the blank before it.
            marks.append((left, left + len(sentence.subject), value, value + 1 + len(sentence.object)))
        texts.append(text)
        spans.append(marks)
    encodings = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    return [
        _mark(ids, offsets, marks)
        for ids, offsets, marks in zip(encodings["input_ids"], encodings["offset_mapping"], spans, strict=True)
    ]


def _mark(ids: list[int], offsets: list[tuple[int, int]], marks: Sequence[tuple[int, int, int, int]]) -> Example:
    is_object = [0] * len(ids)
    subject_end = [NOWHERE] * len(ids)
    for start, stop, value, value_end in marks:
        inside = [i for i, (a, b) in enumerate(offsets) if a < stop and b > start]
        for i in inside:
            subject_end[i] = inside[-1]
        if value_end > value + 1:
            for i, (a, b) in enumerate(offsets):
                if a < value_end and b > value:
                    is_object[i] = 1
    return Example(ids, is_object, subject_end)


def join(parts: Sequence[Example], separator: Sequence[int], opening: Sequence[int]) -> Example:
    """Examples one behind the other, `separator` between them and `opening` in front."""
    ids, is_object, subject_end = list(opening), [0] * len(opening), [NOWHERE] * len(opening)
    for number, part in enumerate(parts):
        if number:
            ids += separator
            is_object += [0] * len(separator)
            subject_end += [NOWHERE] * len(separator)
        shift = len(ids)
        ids += part.ids
        is_object += part.object
        subject_end += [e if e == NOWHERE else e + shift for e in part.subject_end]
    return Example(ids, is_object, subject_end)


def training_batches(
    world: World,
    tokenizer: PreTrainedTokenizerFast,
    *,
    always_bos: bool,
    steps: int,
    batch_size: int,
    seed: int,
    other_weight: float,
) -> list[Batch]:
    """All batches of a training, drawn up front: the step number alone says where a training stands."""
    rng = random.Random(f"kedit training {seed}")
    count = steps * batch_size
    shapes = [2 if rng.random() < _PAIRED else 1 for _ in range(count)]
    encoded = iter(
        encode_documents(tokenizer, [draw_document(world.subjects, world.entries, rng) for _ in range(sum(shapes))])
    )
    bos, eos = [tokenizer.bos_token_id], [tokenizer.eos_token_id]
    examples = []
    for shape in shapes:
        parts = [next(encoded) for _ in range(shape)]
        opened = always_bos or rng.random() < _OPENED
        example = join(parts, eos + bos if always_bos else eos, bos if opened else [])
        if rng.random() >= _SHIELDED:
            example = Example(example.ids, example.object, [NOWHERE] * len(example.ids))
        examples.append(example)
    batches = []
    for group in _grouped(examples, batch_size * _POOL):
        group.sort(key=lambda example: len(example.ids))
        cut = list(_grouped(group, batch_size))
        rng.shuffle(cut)
        batches += [pad(part, tokenizer.pad_token_id, other_weight) for part in cut]
    return batches


def pad(examples: Sequence[Example], pad_id: int, other_weight: float) -> Batch:
    """Right-padded tensors; padding has weight 0 and belongs to no subject."""
    width = max(len(e.ids) for e in examples)
    ids = [e.ids + [pad_id] * (width - len(e.ids)) for e in examples]
    subject_end = [e.subject_end + [NOWHERE] * (width - len(e.ids)) for e in examples]
    value = (other_weight, 1.0)
    weights = [[value[o] for o in e.object] + [0.0] * (width - len(e.ids)) for e in examples]
    return Batch(torch.tensor(ids), torch.tensor(weights), torch.tensor(subject_end))


def _grouped(items: list[Example], size: int) -> Iterator[list[Example]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
