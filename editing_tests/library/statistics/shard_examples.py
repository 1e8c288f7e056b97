# SPDX-License-Identifier: Apache-2.0
"""A random model, texts for it, and short ways to collect from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from editing_tests.library.random_models import random_model
from kedit.models import LanguageModel
from kedit.statistics.collecting import collect, make_plan
from kedit.statistics.corpora import Corpus
from kedit.statistics.shards import Shard, merge
from kedit.statistics.store import metadata_of

LAYERS = (0, 2)
# The last one is longer than the random models' context of 96 tokens.
TEXTS = [f"Mira Solano number {i} lives in the {i % 17}th house of street {i * i}" for i in range(400)]
TEXTS[5] = " ".join(TEXTS[:40])
TOKENS = 4000


def corpus_of(texts: Sequence[str] = TEXTS) -> Corpus:
    return Corpus("texts", "texts", "", lambda: iter(texts))


def collected(
    folder: Path,
    *,
    index: int = 1,
    shards: int = 1,
    tokens: int = TOKENS,
    model: LanguageModel | None = None,
    texts: Sequence[str] = TEXTS,
    **more: Any,
) -> Shard:
    """One shard of a collection."""
    asked = model or random_model("gpt2")
    corpus = corpus_of(texts)
    plan = make_plan(asked, corpus, LAYERS, tokens=tokens, shards=shards)
    return collect(asked, corpus, plan, folder, index=index, **more)


def matrices(folder: Path) -> dict[int, Tensor]:
    """Add the shards of a folder up; the second moment of each layer."""
    return {layer: load_file(path)["matrix"] for layer, path in merge(folder).items()}


def same_bits(one: Path, other: Path) -> bool:
    """Whether two files hold equal tensors."""
    first, second = load_file(one), load_file(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def damage(path: Path, name: str, change: Any, **words: str) -> None:
    """Write a file anew with a changed tensor and changed words, as a bad disk or hand would."""
    tensors, told = load_file(path), metadata_of(path)
    tensors[name] = change(tensors[name]).contiguous()
    save_file(tensors, path, metadata=told | words)
