# SPDX-License-Identifier: Apache-2.0
"""Traps of a tokenizer: what shifts a subject's last token or a target's ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kedit.facts import Fact, FactError, Prompt
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import Row, Text, encode, subject_spans
from kedit.probing.findings import Finding, ProbeError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["check_tokenizer"]

# What stands before a subject that is not at the start, and what may follow one.
PREFIX = "Yesterday. "
FOLLOWERS = ("'s", ",", ".", "-born", "s", ")")
SHOWN = 3


def check_tokenizer(model: LanguageModel, facts: Sequence[Fact]) -> list[Finding]:
    """One finding a trap, on the prompts and true objects of at least one fact.

    Nothing is decided by the tokenizer's name or class: all is read off its encodings.

    Raises:
        ProbeError: no facts.
    """
    if not facts:
        raise ProbeError("there are no sentences to check the tokenizer on; give at least one fact")
    tokenizer = model.tokenizer
    texts = [Text(fact.prompt, fact.true) for fact in facts]
    try:
        rows = encode(tokenizer, texts)
    except FactError as error:
        return [Finding("offsets", "problem", f"subjects or targets are not found by offsets: {error}")]
    subjects = list(dict.fromkeys(fact.subject for fact in facts))
    return [
        _offsets(tokenizer, texts),
        _start_token(tokenizer, texts, rows),
        _leading_blank(tokenizer, texts, rows),
        _text_start(tokenizer, subjects),
        _subject_end(tokenizer, texts, subjects),
        _unknown(tokenizer, texts, rows),
        _pad(tokenizer),
        _vocabulary(model),
    ]


def _offsets(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text]) -> Finding:
    """Whether every sign but blanks lies in a token."""
    lost = []
    for text, offsets in _with_offsets(tokenizer, [text.full for text in texts]):
        covered = {i for left, right in offsets for i in range(left, right)}
        if any(not sign.isspace() and i not in covered for i, sign in enumerate(text)):
            lost.append(text)
    if lost:
        return Finding(
            "offsets",
            "problem",
            f"{_of(lost, texts)} have signs in no token, as {lost[0]!r}: subjects there are missed",
        )
    return Finding("offsets", "ok", f"reported, and every sign of {len(texts)} sentences lies in a token")


def _start_token(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], rows: Sequence[Row]) -> Finding:
    masks = _added(tokenizer, texts)
    leaked = [text.full for text, row, mask in zip(texts, rows, masks, strict=True) if any(mask[row.target_start :])]
    if leaked:
        return Finding(
            "start token",
            "problem",
            f"targets of {_of(leaked, texts)} hold a special token, as in {leaked[0]!r}, which an edit would teach; "
            "switch off what the tokenizer adds behind a text",
        )
    before = {
        tuple(token for token, added in zip(row.ids, mask, strict=True) if added)
        for row, mask in zip(rows, masks, strict=True)
    }
    if before == {()}:
        return Finding("start token", "ok", "none is added; a subject at the very start is token 0")
    tokens = [tokenizer.convert_ids_to_tokens(list(ids)) for ids in sorted(before)]
    names = ", ".join(" ".join(map(repr, part)) or "none" for part in tokens)
    if len(before) > 1 or len(tokens[0]) > 1:
        return Finding(
            "start token", "problem", f"sentences begin with {names}; one start token, the same for all, is right"
        )
    return Finding("start token", "ok", f"{names} is added before a sentence and is in no target")


def _added(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text]) -> list[list[int]]:
    """For each token 1 if the tokenizer added it, 0 if the text holds it."""
    encoded = tokenizer([text.full for text in texts], return_special_tokens_mask=True, padding=False, truncation=False)
    masks: list[list[int]] = encoded["special_tokens_mask"]
    return masks


def _leading_blank(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], rows: Sequence[Row]) -> Finding:
    """How a target's ids in its sentence compare with those of the target encoded alone."""
    targets = [text.target or "" for text in texts]
    spaced = tokenizer([f" {target}" for target in targets], add_special_tokens=False)["input_ids"]
    bare = tokenizer(targets, add_special_tokens=False)["input_ids"]
    ids = [list(row.target_ids) for row in rows]
    kept = sum(own == alone for own, alone in zip(ids, spaced, strict=True))
    as_bare = sum(own == alone for own, alone in zip(ids, bare, strict=True))
    shown = tokenizer.convert_ids_to_tokens(ids[0])
    if kept == len(texts):
        return Finding("target's blank", "ok", f"a target keeps it, as in {shown}: ids are those of ' target' alone")
    if as_bare == len(texts):
        return Finding(
            "target's blank",
            "note",
            f"a target's ids are those of 'target' alone, as {shown}; ' target' alone has one blank too many",
        )
    return Finding(
        "target's blank",
        "note",
        f"of {len(texts)} targets {kept} have the ids of ' target' alone and {as_bare} those of 'target' alone, as "
        f"{shown}; only the whole sentence gives all of them right, as kedit encodes it",
    )


def _text_start(tokenizer: PreTrainedTokenizerBase, subjects: Sequence[str]) -> Finding:
    """The subject's last token at the very start and behind a prefix."""
    there = [Text(Prompt("", subject, " is")) for subject in subjects]
    behind = [Text(Prompt("", subject, " is"), prefix=PREFIX) for subject in subjects]
    tokens = list(zip(_subject_ids(tokenizer, there), _subject_ids(tokenizer, behind), strict=True))
    other = [subject for subject, (one, two) in zip(subjects, tokens, strict=True) if one[-1] != two[-1]]
    first = sum(one != two for one, two in tokens)
    if other:
        return Finding(
            "start of a text",
            "note",
            f"{_of(other, subjects)} subjects have another last token at the very start than behind words, as "
            f"{other[0]!r}: their keys are two kinds, and an average over contexts mixes them",
        )
    inside = f", {first} have other tokens before it" if first else ""
    return Finding(
        "start of a text",
        "ok",
        f"{len(subjects)} subjects have one last token at the very start and behind words{inside}",
    )


def _subject_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text]) -> Iterator[tuple[int, ...]]:
    rows, spans = encode(tokenizer, texts), subject_spans(tokenizer, texts)
    return (row.ids[span.start : span.stop] for row, span in zip(rows, spans, strict=True))


def _subject_end(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], subjects: Sequence[str]) -> Finding:
    """Tokens that begin in a subject and end behind it."""
    fused = [text.full for text in texts if _fused(tokenizer, text)]
    if fused:
        return Finding(
            "subject's end",
            "problem",
            f"in {_of(fused, texts)} sentences the subject's last token holds signs behind it, as in {fused[0]!r}: "
            "its key is not that of the subject's other facts; put another word behind the subject",
        )
    followed = [end for end in FOLLOWERS if any(_fused(tokenizer, Text(Prompt("", one, end))) for one in subjects)]
    if followed:
        return Finding(
            "subject's end",
            "note",
            f"no given sentence fuses a subject with what follows, but {' '.join(map(repr, followed))} right behind "
            "one may: such a prompt has another key",
        )
    return Finding("subject's end", "ok", "no token reaches over it, in the given sentences or before usual endings")


def _fused(tokenizer: PreTrainedTokenizerBase, text: Text) -> bool:
    ((_, offsets),) = _with_offsets(tokenizer, [text.full])
    end = len(text.prefix) + text.prompt.subject_span[1]
    return any(left < end < right for left, right in offsets)


def _unknown(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], rows: Sequence[Row]) -> Finding:
    unknown = tokenizer.unk_token_id
    if unknown is None:
        return Finding("unknown tokens", "ok", "the vocabulary has no unknown token, every text has ids of its own")
    # One token may serve as start and as unknown; what is added is the start.
    hit = [
        row
        for row, mask in zip(rows, _added(tokenizer, texts), strict=True)
        if any(token == unknown and not added for token, added in zip(row.ids, mask, strict=True))
    ]
    if hit:
        return Finding(
            "unknown tokens",
            "problem",
            f"{_of(hit, rows)} sentences hold {tokenizer.unk_token!r}: other words there have the same ids and the "
            "same keys",
        )
    return Finding("unknown tokens", "ok", f"no sentence holds {tokenizer.unk_token!r}")


def _pad(tokenizer: PreTrainedTokenizerBase) -> Finding:
    pad = tokenizer.pad_token_id
    if pad is None:
        return Finding("pad token", "note", "none; kedit pads by its mask and needs none, other code may set one")
    if pad in (tokenizer.eos_token_id, tokenizer.bos_token_id):
        return Finding(
            "pad token",
            "note",
            f"{tokenizer.pad_token!r} is the start or end token too: code that masks by id hides real ones; kedit "
            "masks by position",
        )
    return Finding("pad token", "ok", f"{tokenizer.pad_token!r}, which is nothing else")


def _vocabulary(model: LanguageModel) -> Finding:
    known, size = len(model.tokenizer), model.head_size
    if known > size:
        return Finding(
            "vocabulary",
            "problem",
            f"the tokenizer has {known} ids and the model {size}: the last ones have no embedding",
        )
    return Finding("vocabulary", "ok", f"{known} ids, {size} embeddings")


def _with_offsets(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[tuple[str, list[tuple[int, int]]]]:
    encoded = tokenizer(list(texts), return_offsets_mapping=True, padding=False, truncation=False)
    return list(zip(texts, encoded["offset_mapping"], strict=True))


def _of(part: Sequence[Any], whole: Sequence[Any]) -> str:
    return f"{len(part)} of {len(whole)}"
