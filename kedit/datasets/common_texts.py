# SPDX-License-Identifier: Apache-2.0
"""Plain English sentences that no built-in fact is about: held-out texts for perplexity on models of the real world."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

__all__ = ["common_texts"]

_FILE = "common_texts.toml"


@cache
def common_texts() -> tuple[str, ...]:
    """The texts, one or two sentences each, in the order of their file."""
    text = resources.files(__package__).joinpath(_FILE).read_text(encoding="utf-8")
    return tuple(tomllib.loads(text)["texts"])
