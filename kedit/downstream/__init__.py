# SPDX-License-Identifier: Apache-2.0
"""Downstream tasks of lm-evaluation-harness on a model as it is in memory."""

from __future__ import annotations

from kedit.downstream.benchmarks import OPEN_LLM, Benchmark
from kedit.downstream.errors import DownstreamError
from kedit.downstream.harness import evaluate_tasks, harness_model
from kedit.downstream.local_tasks import world_task

__all__ = ["OPEN_LLM", "Benchmark", "DownstreamError", "evaluate_tasks", "harness_model", "world_task"]
