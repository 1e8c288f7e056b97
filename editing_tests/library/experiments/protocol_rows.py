# SPDX-License-Identifier: Apache-2.0
"""Which numbers each protocol gives, so that claims and figures can be held against it without a measurement."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from kedit.editors import load_editor

Named = set[tuple[str, str, int]]

SCORES = ("ES", "PS", "NS", "EM", "PAR", "SPE", "probability")
TYPES = ("DG", "MQ", "T/F")


def rows_given(protocol: str, editor: str, config: Mapping[str, Any], given: Mapping[str, Any]) -> Named:
    """Metric, arm and place of every row, but for norms of single layers, whose number is the model's."""
    tags = load_editor(editor, config).tags if editor else None
    n = given.get("n", 0)
    if protocol == "same-and-different":
        return set(product(SCORES, ("same", "different"), (n,)))
    if protocol == "first-and-last":
        return set(product(SCORES, ("homogeneous", "heterogeneous"), (n,)))
    if protocol == "density":
        return set(product((*SCORES, "PPL", "PPL ratio"), ("low", "medium", "high"), (n,)))
    if protocol == "key-pair":
        metrics = ("key cosine", "ES of the first", "probability of the first")
        return set(product(metrics, ("same", "different"), (0,)))
    if protocol == "weight-overlap":
        return set(product(("overlap", "key cosine", "forgetting"), ("same", "different"), (0,)))
    if protocol == "paired-batch":
        keyed = tags is not None and tags.keyed and n > 1
        return set(product((*SCORES, "AKD") if keyed else SCORES, ("same", "distinct"), (n,)))
    if protocol == "statistics-tokens":
        named = (*SCORES, "C error")
        return {
            *product(named, ("of the corpus",), (*given["corpus"], 1000)),
            *product(named, ("of the key size",), given["key_size"]),
        }
    if protocol == "question-types":
        asked = {*given["checkpoints"], n}
        watched = ("CHOICE", "PPL", "L1 growth")
        return {
            *product(watched, TYPES, {0, *asked}),
            *product(("EM",), TYPES, asked),
            *product(("target PPL", "target tokens"), TYPES, (0,)),
        }
    assert protocol == "long-sequence", protocol
    if given.get("facts") == "returning":
        n = 3 * (n // 3)
    asked = {one for one in given["checkpoints"] if one <= n} | {n}
    block = given.get("block", 20)
    grows = asked if tags is not None and tags.writes_weights else set()
    blocks = {min(start + block, n) for start in range(0, n, block)}
    return {
        *product(SCORES, ("overall",), asked),
        *product(("CHOICE", "PPL"), ("overall",), {0, *asked}),
        *product(("L1 growth",), ("overall",), {0, *grows}),
        *product(("probability", "EM"), ("each",), range(1, n + 1)),
        *product(("probability",), ("early", "late"), (n,)),
        *product(("EM",), ("kept",), blocks),
        *product(given.get("tasks", ()), ("overall",), (0, n)),
    }
