# SPDX-License-Identifier: Apache-2.0
"""Models with seeded random weights, at full size or reduced: mechanics, memory and speed, not knowledge."""

from __future__ import annotations

import copy
import random
import string
from typing import TYPE_CHECKING, Any

import torch

from kedit.models.architectures import ModelError, architecture_of
from kedit.models.language_model import LanguageModel
from kedit.models.stand_in_tokenizers import FEWEST_TOKENS, stand_in_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["key_size", "random_model", "random_texts", "reduced"]

# Standard deviation of what is added to biases and norms, which start at zero and one: a forgotten term shows.
SHAKE = 0.1
# Heads of a reduced model, and those that share keys and values where the family groups them.
HEADS, GROUPED = 4, 2
WORDS_A_TEXT = 12


def random_model(
    configuration: PreTrainedConfig,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    name: str = "random",
    tokenizer: PreTrainedTokenizerBase | None = None,
    corpus_tokens: int = 0,
) -> LanguageModel:
    """A model of this configuration with random weights, made on the device in the dtype, without any file.

    Weights are drawn as the architecture's own initialisation does, with `initializer_range` of the configuration.
    Equal arguments give equal bits on one machine; another device draws other numbers.

    Args:
        configuration: is left as it is.
        seed: of the weights, and of the corpus.
        dtype: of the weights.
        device: one device.
        name: for display.
        tokenizer: in the place of `stand_in_tokenizer`; its vocabulary must not be larger than the configuration's.
        corpus_tokens: the corpus has at least so many tokens; a second moment of keys of size `f` needs `10 f`.

    Raises:
        ModelError: a vocabulary that does not fit, or a family without a row.
    """
    from transformers import AutoModelForCausalLM

    where = torch.device(device)
    words = stand_in_tokenizer(configuration) if tokenizer is None else tokenizer
    if max(words.get_vocab().values()) >= int(configuration.vocab_size):
        raise ModelError(
            f"{name}: the tokenizer has ids above the {configuration.vocab_size} entries of the vocabulary; give the "
            "configuration a larger one"
        )
    drawing = [where] if where.type == "cuda" else []
    with torch.random.fork_rng(devices=drawing), torch.device(where):
        torch.manual_seed(seed)
        module = AutoModelForCausalLM.from_config(copy.deepcopy(configuration), dtype=dtype)
        with torch.no_grad():
            for parameter in module.parameters():
                if parameter.dim() == 1:
                    parameter.add_(SHAKE * torch.randn_like(parameter))
    _make_tables_again(module)
    corpus = random_texts(words, corpus_tokens, seed=seed) if corpus_tokens else ()
    return LanguageModel(module.eval(), words, name=name, corpus=corpus)


def _make_tables_again(module: PreTrainedModel) -> None:
    """Make buffers, such as sines and cosines of positions, as loading does: in float32 and on the host.

    Made with the weights they have the precision of their dtype, and the rounding of the device's own functions, so
    that the model, written and loaded again, would not be the same to the bit.
    """
    with torch.no_grad():
        for part in module.modules():
            if len(list(part.buffers(recurse=False))) > len(list(part.parameters(recurse=False))) == 0:
                module._init_weights(part)


def random_texts(tokenizer: PreTrainedTokenizerBase, tokens: int, *, seed: int) -> tuple[str, ...]:
    """Made-up sentences of random words that have at least `tokens` tokens together, every one different."""
    generator = random.Random(seed)
    texts: dict[str, None] = {}
    counted = 0
    while counted < tokens:
        lengths = [generator.randint(2, 9) for _ in range(WORDS_A_TEXT)]
        words = ("".join(generator.choices(string.ascii_lowercase, k=length)) for length in lengths)
        text = " ".join(words).capitalize() + "."
        if text not in texts:
            texts[text] = None
            counted += len(tokenizer(text)["input_ids"])
    return tuple(texts)


def key_size(configuration: PreTrainedConfig) -> int:
    """`f`, the size of a key, as the configuration has it."""
    told = configuration.to_dict()
    return int(told.get("intermediate_size") or told.get("n_inner") or 4 * configuration.hidden_size)


def reduced(
    configuration: PreTrainedConfig, *, blocks: int = 2, width: int = 64, vocabulary: int = 1024
) -> PreTrainedConfig:
    """A small configuration of the same family that keeps what tells its models apart.

    Kept: the ratio of `f` to `d`, tied or own head, whether heads share keys and values, the share of a head that is
    rotated, activation, norms and rotary base; and, by a larger `initializer_range`, the gain of a projection.

    Args:
        configuration: of any family of the architecture table; is left as it is.
        blocks: number of blocks.
        width: `d`, a multiple of 16.
        vocabulary: entries of the vocabulary, enough for the stand-in tokenizer.

    Raises:
        ModelError: a width or a vocabulary that does not do, or a family without a row.
    """
    architecture_of(str(configuration.model_type))
    if width < 16 or width % 16 or vocabulary < FEWEST_TOKENS:
        raise ModelError(
            f"a reduced model has a width of a multiple of 16 and a vocabulary of at least {FEWEST_TOKENS}, got "
            f"{width} and {vocabulary}"
        )
    told: dict[str, Any] = configuration.to_dict()
    d = int(configuration.hidden_size)
    inner = next(key for key in ("n_inner", "intermediate_size") if key in told)
    f = width * key_size(configuration) // d
    small = {
        "num_hidden_layers": blocks,
        "hidden_size": width,
        "num_attention_heads": HEADS,
        inner: f,
        "vocab_size": vocabulary,
        "initializer_range": configuration.initializer_range * (d / width) ** 0.5,
    }
    if "num_key_value_heads" in told:
        grouped = told["num_key_value_heads"] < configuration.num_attention_heads
        small["num_key_value_heads"] = GROUPED if grouped else HEADS
    if "head_dim" in told:
        small["head_dim"] = width // HEADS
    if told.get("rotary_dim"):
        share = told["rotary_dim"] * configuration.num_attention_heads / d
        small["rotary_dim"] = max(2, 2 * round(share * (width // HEADS) / 2))
    if told.get("layer_types"):
        small["layer_types"] = told["layer_types"][:blocks]
    small |= _special_ids(configuration, vocabulary)
    made = copy.deepcopy(configuration)
    for key, value in small.items():
        setattr(made, key, value)
    return made


def _special_ids(configuration: PreTrainedConfig, vocabulary: int) -> dict[str, int]:
    """Start and end where they are, or at the end of the smaller vocabulary; the same token stays the same."""
    start, end = configuration.bos_token_id, configuration.eos_token_id
    if isinstance(end, list):
        end = end[0]
    found = {"bos_token_id": start, "eos_token_id": end}
    if start == end and start is not None:
        return dict.fromkeys(found, min(start, vocabulary - 1))
    places = {"bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1}
    return {key: told if told is not None and told < vocabulary - 2 else places[key] for key, told in found.items()}
