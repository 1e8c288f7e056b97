# SPDX-License-Identifier: Apache-2.0
"""The downstream tasks of D4S, by their names in lm-evaluation-harness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["OPEN_LLM", "Benchmark"]

_D4S = "D4S, section 3.1"
_LEADERBOARD = "Open LLM Leaderboard, first version; D4S, section 3.1, gives no number"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One task and how it is asked.

    Attributes:
        task: name of the task or group in the harness.
        shots: number of worked examples before each question.
        metric: the result that is reported, as `evaluate_tasks` names it.
        source: who says how many shots.
    """

    task: str
    shots: int
    metric: str
    source: str


OPEN_LLM: Mapping[str, Benchmark] = MappingProxyType(
    {
        "arc_challenge": Benchmark("arc_challenge", 25, "acc_norm,none", _D4S),
        "hellaswag": Benchmark("hellaswag", 10, "acc_norm,none", _D4S),
        "mmlu": Benchmark("mmlu", 5, "acc,none", _D4S),
        "truthfulqa": Benchmark("truthfulqa_mc2", 0, "acc,none", _D4S),
        "winogrande": Benchmark("winogrande", 5, "acc,none", _LEADERBOARD),
        "gsm8k": Benchmark("gsm8k", 5, "exact_match,strict-match", _LEADERBOARD),
    }
)
