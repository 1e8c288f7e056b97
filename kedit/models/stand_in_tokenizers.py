# SPDX-License-Identifier: Apache-2.0
"""A tokenizer for models without one: bytes and pairs of letters, with character offsets."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from kedit.models.architectures import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerFast

__all__ = ["FEWEST_TOKENS", "stand_in_tokenizer"]

# Families whose tokenizers put a start token before every encoding.
STARTING = ("gemma", "llama", "mistral")
# Pairs of lower-case letters are merged, which halves the length of a text; longer pieces would need texts to learn of.
PAIRS = [(one, other) for one in string.ascii_lowercase for other in string.ascii_lowercase]
# Bytes, pairs, start and end.
FEWEST_TOKENS = 256 + len(PAIRS) + 2


def stand_in_tokenizer(configuration: PreTrainedConfig) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer whose start and end tokens have the ids that the configuration gives them.

    Llama, Mistral and Gemma get their start token before every text, as published; the others get none.

    Raises:
        ModelError: the vocabulary is too small.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    size = int(configuration.vocab_size)
    if size < FEWEST_TOKENS:
        raise ModelError(
            f"a vocabulary of {size} is too small for the stand-in tokenizer; give at least {FEWEST_TOKENS}"
        )
    start, end = _id(configuration.bos_token_id, size - 2), _id(configuration.eos_token_id, size - 1)
    special = {"<end>": end} if start == end else {"<start>": start, "<end>": end}
    free = (i for i in range(size) if i not in (start, end))
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in PAIRS)]
    vocabulary = dict(zip(pieces, free, strict=False)) | special
    tokenizer = Tokenizer(models.BPE(vocabulary, PAIRS))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    first = next(iter(special))
    bytes_to_characters = processors.ByteLevel(trim_offsets=False)
    if configuration.model_type in STARTING:
        starting = processors.TemplateProcessing(
            single=f"{first} $A", pair=f"{first} $A {first} $B", special_tokens=[(first, start)]
        )
        tokenizer.post_processor = processors.Sequence([bytes_to_characters, starting])
    else:
        tokenizer.post_processor = bytes_to_characters
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=first,
        eos_token="<end>",
        unk_token="<end>",
        pad_token="<end>",
        clean_up_tokenization_spaces=False,
    )


def _id(told: int | list[int] | None, otherwise: int) -> int:
    """The first of the told ids; families without one get a token at the end of the vocabulary."""
    first = told[0] if isinstance(told, list) else told
    return otherwise if first is None else first
