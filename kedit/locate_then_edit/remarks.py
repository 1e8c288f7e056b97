# SPDX-License-Identifier: Apache-2.0
"""What the keys of a batch tell about its edit, for the notes of its update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from kedit.facts import Fact
from kedit.statistics.second_moments import SecondMoment

__all__ = ["COLLIDING", "remarks"]

# Cosine of two keys above which one change of the weights can hardly give them different values.
COLLIDING = 0.99


def remarks(
    facts: Sequence[Fact],
    groups: Sequence[int],
    keys: Tensor,
    bare: Tensor,
    moments: Mapping[int, SecondMoment],
) -> dict[str, Any]:
    """Notes by name, as plain data.

    `key collisions`, if there are any: the number of pairs of facts that ask for different targets with different
    values although the cosine of their keys is above `COLLIDING`, and the largest cosine among them. `context cosine`:
    between a fact's key and that of its bare prompt, least and mean over facts; far below 1 where the subject has other
    tokens behind a prefix. `second moments`: of which texts and how many tokens.

    Args:
        facts: the batch.
        groups: group of each fact; facts of one group share a value.
        keys: `(f, n)`, averaged over contexts, at the first edited layer.
        bare: `(f, n)`, of the bare prompts, at that layer.
        moments: by layer; may be empty.
    """
    notes: dict[str, Any] = {}
    colliding = _collisions(facts, groups, keys)
    if len(colliding):
        notes["key collisions"] = {"pairs": len(colliding), "largest cosine": float(colliding.max())}
    moved = cosine_similarity(keys, bare, dim=0)
    notes["context cosine"] = {"least": float(moved.min()), "mean": float(moved.mean())}
    if moments:
        one = next(iter(moments.values()))
        notes["second moments"] = {"corpus": one.corpus, "tokens": one.tokens}
    return notes


def _collisions(facts: Sequence[Fact], groups: Sequence[int], keys: Tensor) -> Tensor:
    """The cosines of the colliding pairs, float32 `(pairs,)`."""
    numbers: dict[str, int] = {}
    targets = torch.tensor([numbers.setdefault(fact.target, len(numbers)) for fact in facts])
    group = torch.tensor(list(groups))
    unit = normalize(keys, dim=0).float()
    cosines = (unit.T @ unit).cpu()
    apart = (targets[:, None] != targets) & (group[:, None] != group)
    return cosines[(apart & (cosines > COLLIDING)).triu(1)]
