# SPDX-License-Identifier: Apache-2.0
"""Groups of facts that have one key."""

from __future__ import annotations

from collections.abc import Sequence

from kedit.facts import Fact
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import Text, encode

__all__ = ["each_alone", "equal_keys", "members"]


def each_alone(_model: LanguageModel, facts: Sequence[Fact]) -> tuple[int, ...]:
    """One group a fact, as in MEMIT."""
    return tuple(range(len(facts)))


def equal_keys(model: LanguageModel, facts: Sequence[Fact]) -> tuple[int, ...]:
    """One group for each distinct token prefix up to the subject's last token, numbered by first appearance.

    MEMIT-Merge (section 4.2) speaks of equal subjects. What makes keys equal is the prefix: the same subject behind
    other words has another key (AKD 10.5 instead of 0 in its appendix B), and one value for both would be arbitrary.
    """
    rows = encode(model.tokenizer, [Text(fact.prompt) for fact in facts])
    seen: dict[tuple[int, ...], int] = {}
    return tuple(seen.setdefault(row.ids[: (row.subject_last or 0) + 1], len(seen)) for row in rows)


def members(groups: Sequence[int]) -> list[list[int]]:
    """Fact indices of each group."""
    result: list[list[int]] = [[] for _ in range(max(groups) + 1)]
    for i, group in enumerate(groups):
        result[group].append(i)
    return result
