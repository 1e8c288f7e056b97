# SPDX-License-Identifier: Apache-2.0
"""Small tokenizers of the two kinds that the families use, trained on a world."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

END = "<|endoftext|>"


def byte_level(texts: Sequence[str], size: int, max_length: int, *, digits_alone: bool) -> PreTrainedTokenizerFast:
    """A byte-level BPE with `size` entries and `<|endoftext|>`; no token is added to an encoding.

    `digits_alone` splits numbers into digits and composes characters (NFC), as Qwen2 does; without it numbers
    may merge and text stays as it is, as in GPT-2.
    """
    tokenizer = Tokenizer(models.BPE())
    if digits_alone:
        # Taken from the class that `from_pretrained` will use, so that the folder encodes as the training did.
        published = Qwen2Tokenizer().backend_tokenizer
        tokenizer.normalizer = published.normalizer
        tokenizer.pre_tokenizer = published.pre_tokenizer
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END,
        eos_token=END,
        unk_token=END,
        pad_token=END,
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )


def sentencepiece(texts: Sequence[str], size: int, max_length: int) -> PreTrainedTokenizerFast:
    """A BPE in SentencePiece's manner, `size` entries: dummy prefix, "▁" for blanks, digits alone, byte fallback.

    `<s>` is put before every encoding, as in Llama-2.
    """
    special = ["<unk>", "<s>", "</s>"]
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    learner = Tokenizer(models.BPE())
    _spell_blanks(learner)
    learner.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=size - len(special) - len(byte_tokens), show_progress=False)
    )
    learned = json.loads(learner.to_str())["model"]
    pieces = sorted(learned["vocab"], key=learned["vocab"].__getitem__)
    vocab = {piece: number for number, piece in enumerate(special + byte_tokens + pieces)}
    merges = [tuple(pair) for pair in learned["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    _spell_blanks(tokenizer)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", vocab["<s>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="</s>",
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )


def _spell_blanks(tokenizer: Tokenizer) -> None:
    """Blanks become "▁", one more is put in front, words start at "▁", digits stand alone."""
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("▁", behavior="merged_with_next"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Split(Regex(r"[^\w▁]"), behavior="isolated"),
        ]
    )
