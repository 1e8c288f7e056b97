# SPDX-License-Identifier: Apache-2.0
"""How many tokens of second moments MEMIT needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kedit.experiments.experiment import Claim, Direction, Experiment, Figure, Quantity, Series

__all__ = ["TOKENS"]

FACTS = 10
CORPUS, KEY_SIZE = "of the corpus", "of the key size"
WHOLE, ENOUGH, RANK, LEAST = (CORPUS, 1000), (KEY_SIZE, 1000), (KEY_SIZE, 100), (CORPUS, 3)
_PLAIN, _DAMPED = "MEMIT", "MEMIT, damping 0.01"
_DRAWN = (20, 50, 100, 200, 500, 1000)
_SIZES: Mapping[str, Any] = {
    "n": FACTS,
    "corpus": [3, 10, 30, 100, 300],
    "key_size": [20, 50, 100, 200, 500, 1000, 2000],
}


def _claim(
    text: str,
    metric: str,
    at: tuple[str, int],
    direction: Direction,
    by: float,
    *,
    label: str = _PLAIN,
    other: str = _PLAIN,
    beside: tuple[str, int] = WHOLE,
) -> Claim:
    return Claim(
        text=text,
        source="after Efficient Knowledge Editing via Minimal Precomputation, arXiv 2506.04226",
        direction=direction,
        left=Quantity(metric, label, *at),
        right=Quantity(metric, other, *beside),
        by=by,
    )


TOKENS: tuple[Experiment, ...] = (
    Experiment(
        name="statistics-tokens",
        paper="kedit",
        item="ablation 4",
        title="Quality of an edit against the tokens that its second moments are made of",
        series=(
            Series(_PLAIN, "statistics-tokens", "memit", parameters=_SIZES),
            Series(_DAMPED, "statistics-tokens", "memit", {"damping": 0.01}, _SIZES),
        ),
        repeats=6,
        models=("tiny-gpt2", "tiny-gptj", "tiny-llama", "tiny-qwen2"),
        figure=Figure("lines", ("EM", "SPE", "C error"), "tokens, % of the key size", (KEY_SIZE,), _DRAWN),
        claims=(
            _claim("0.3 % of the corpus edits as many facts as all of it", "EM", LEAST, "above", -0.05),
            _claim("0.3 % of the corpus spares as many neighbors as all of it", "SPE", LEAST, "above", -0.05),
            _claim("ten tokens a dimension edit as many facts as the whole corpus", "EM", ENOUGH, "above", -0.05),
            _claim("ten tokens a dimension spare as many neighbors as all of it", "SPE", ENOUGH, "above", -0.05),
            _claim("one token a dimension costs neighbors", "SPE", RANK, "below", 0.02),
            _claim(
                "with one token a dimension more damping spares neighbors", "SPE", RANK, "above", 0.02,
                label=_DAMPED, beside=RANK,
            ),
        ),
        note=f"{FACTS} facts of as many subjects in one call. Places count per cent of the key size, or thousandths of "
        "the corpus: 37,000 to 41,000 tokens, 72 to 108 for each dimension of a key. Fewer tokens than the key size "
        "are refused outside this experiment.",
    ),
)  # fmt: skip
