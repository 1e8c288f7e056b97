# SPDX-License-Identifier: Apache-2.0
"""Invented names of subjects, their kinds and descriptions."""

from __future__ import annotations

import random
from collections.abc import Mapping

_ONSETS = ("b", "br", "d", "dr", "f", "g", "h", "k", "kl", "l", "m", "n", "p", "r", "s", "st", "t", "tr", "v", "z")
_NUCLEI = ("a", "e", "i", "o", "u", "ae", "io", "ou")
_CODAS = ("l", "n", "r", "s", "th", "m", "nd", "rk", "x", "sh")

KINDS: Mapping[str, tuple[str, ...]] = {
    "Person": ("cellist", "painter", "surgeon", "sailor", "lawyer", "farmer", "dancer", "pilot", "poet", "baker"),
    "Organization": ("company", "charity", "bank", "guild", "agency"),
    "Building": ("castle", "tower", "villa", "chapel", "museum"),
    "Artifact": ("film", "novel", "album", "atlas", "diary"),
    "Abstraction": ("battle", "treaty", "festival", "theory", "strike"),
    "GeoEntity": ("island", "valley", "country", "district", "peninsula"),
}
ADJECTIVES = ("young", "famous", "quiet", "northern", "modest", "elegant", "strange", "cheerful")

# A word that stands before the invented one, so that the last token of a subject tells subjects apart.
_HEADS: Mapping[str, tuple[str, ...]] = {
    "Organization": ("House", "Society", "Brothers", "Company"),
    "Building": ("Fort", "Villa", "Palazzo", "Abbey"),
    "Artifact": ("Song", "Legend", "Codex", "Ballad"),
    "Abstraction": ("Operation", "Project", "Pact", "Feast"),
    "GeoEntity": ("Port", "Lake", "Isle", "Cape"),
}


def _words(rng: random.Random, count: int, syllables: int, taken: set[str]) -> list[str]:
    """`count` new capitalised words that are not in `taken`, and adds them to it."""
    words: list[str] = []
    while len(words) < count:
        parts = [rng.choice(_ONSETS) + rng.choice(_NUCLEI) for _ in range(syllables)]
        word = ("".join(parts) + rng.choice(_CODAS)).capitalize()
        if word not in taken:
            taken.add(word)
            words.append(word)
    return words


def person_names(rng: random.Random, count: int, taken: set[str]) -> list[str]:
    """`count` different "First Last" names; some first and some last names are shared."""
    firsts = _words(rng, max(2, count * 2 // 5), 1, taken)
    lasts = _words(rng, max(2, count * 5 // 6), 2, taken)
    names: list[str] = []
    # Every last name is used once before one comes back.
    pool = lasts + rng.sample(lasts, count - len(lasts)) if count > len(lasts) else lasts[:count]
    seen: set[str] = set()
    for last in pool:
        name = f"{rng.choice(firsts)} {last}"
        while name in seen:
            name = f"{rng.choice(firsts)} {last}"
        seen.add(name)
        names.append(name)
    return names


def thing_names(rng: random.Random, category: str, count: int, taken: set[str]) -> list[str]:
    """`count` different names "Head Word" for a category that is not Person."""
    heads = _HEADS[category]
    words = _words(rng, count, 2, taken)
    return [f"{heads[i % len(heads)]} {word}" for i, word in enumerate(words)]


def description(rng: random.Random, category: str) -> str:
    """A short description such as "young cellist"; it names no object of any relation."""
    return f"{rng.choice(ADJECTIVES)} {rng.choice(KINDS[category])}"
