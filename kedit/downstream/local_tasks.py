# SPDX-License-Identifier: Apache-2.0
"""Tasks that need no data from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kedit.downstream.errors import DownstreamError, missing
from kedit.downstream.surroundings import quiet
from kedit.metrics.multiple_choice import Question

if TYPE_CHECKING:
    from lm_eval.api.task import Task

__all__ = ["world_task"]


def world_task(questions: Sequence[Question], name: str = "world") -> Task:
    """A multiple-choice task of the harness made of `questions`, in memory.

    Its `acc` is `kedit.metrics.CHOICE`, but for ties: the harness takes the first of equal options.

    Args:
        questions: what is asked, without examples before it; `kedit.worlds.questions` draws some.
        name: of the task in the results.

    Raises:
        DownstreamError: no questions, or the extra `downstream` is not installed.
    """
    if not questions:
        raise DownstreamError(f"task {name!r} has no questions; give at least one")
    try:
        from datasets import Dataset
        from lm_eval.api.task import ConfigurableTask
    except ImportError as error:
        raise missing(error) from error
    rows = [{"prompt": one.prompt, "options": list(one.options), "answer": one.answer} for one in questions]

    def splits(**_: Any) -> dict[str, Any]:
        return {"test": Dataset.from_list(rows)}

    with quiet():
        return ConfigurableTask(
            config={
                "task": name,
                "custom_dataset": splits,
                "test_split": "test",
                "output_type": "multiple_choice",
                "doc_to_text": "prompt",
                "doc_to_choice": "options",
                "doc_to_target": "answer",
                "num_fewshot": 0,
                "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
            }
        )
