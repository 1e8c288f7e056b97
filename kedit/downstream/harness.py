# SPDX-License-Identifier: Apache-2.0
"""lm-evaluation-harness on a model as it is in memory, with nothing kept from one run to the next."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedit.downstream.benchmarks import Benchmark
from kedit.downstream.errors import DownstreamError, missing
from kedit.downstream.surroundings import offline, own_random_state, quiet
from kedit.models.language_model import LanguageModel

if TYPE_CHECKING:
    from lm_eval.api.task import Task
    from lm_eval.models.huggingface import HFLM

__all__ = ["evaluate_tasks", "harness_model"]


def harness_model(model: LanguageModel, *, batch_size: int = 8) -> HFLM:
    """The model, as it is in memory, as the harness's own Hugging Face model.

    It shares the module, and with it weights and memory, and has a tokenizer of its own: the harness sets padding.

    Raises:
        DownstreamError: the extra `downstream` is not installed.
    """
    try:
        from lm_eval.models.huggingface import HFLM
    except ImportError as error:
        raise missing(error) from error
    with quiet(), model.frozen():
        return HFLM(pretrained=model.module, tokenizer=copy.deepcopy(model.tokenizer), batch_size=batch_size)


def evaluate_tasks(
    model: LanguageModel,
    tasks: Sequence[str | Benchmark | Task],
    *,
    limit: int | None = None,
    seed: int = 0,
    num_fewshot: int | None = None,
    batch_size: int = 8,
    download: bool = False,
) -> dict[str, dict[str, float]]:
    """Run tasks of lm-evaluation-harness on the model as it is in memory, edited or not; it is not changed.

    The harness's caches of requests and of results are off, so that a model that was edited meanwhile is asked anew.

    Args:
        model: edited or not.
        tasks: names of tasks or groups, YAML files of tasks, rows of `OPEN_LLM`, or tasks such as `world_task` makes.
        limit: only the first so many questions of each task.
        seed: of the draw of examples, and of Python's, numpy's and torch's generators meanwhile.
        num_fewshot: examples before each question; None for those of the benchmark or, without one, of the task.
        batch_size: questions a forward pass.
        download: let tasks fetch data that are not in the local cache of `datasets`.

    Returns:
        task or group -> metric and filter, such as `acc,none` -> value.

    Raises:
        DownstreamError: the extra `downstream` is not installed, a task cannot be loaded, is named twice or takes no
            examples, or `limit` is below 1.
    """
    if not tasks:
        raise DownstreamError("there are no tasks to run; name at least one")
    if limit is not None and limit < 1:
        raise DownstreamError(f"limit {limit} leaves no questions; give at least 1, or None for all")
    try:
        from lm_eval.evaluator import evaluate
    except ImportError as error:
        raise missing(error) from error
    with quiet(), own_random_state(seed, model.device), nullcontext() if download else offline():
        loaded = _load(tasks)
        leaves = [(task, asked) for asked, part in loaded for task in part["tasks"].values()]
        own = [task.config.num_fewshot for task, _ in leaves]
        try:
            for task, asked in leaves:
                _set_shots(task, num_fewshot if num_fewshot is not None else asked)
                task.set_fewshot_seed(seed)
            with model.frozen():
                ran = evaluate(
                    lm=harness_model(model, batch_size=batch_size),
                    task_dict={
                        "tasks": {name: task for _, part in loaded for name, task in part["tasks"].items()},
                        "groups": {name: group for _, part in loaded for name, group in part.get("groups", {}).items()},
                    },
                    limit=limit,
                    cache_requests=False,
                    bootstrap_iters=0,
                    log_samples=False,
                )
        finally:
            for (task, _), shots in zip(leaves, own, strict=True):
                task.set_config("num_fewshot", shots)
    return {name: _numbers(found) for name, found in ran["results"].items()}


def _load(tasks: Sequence[str | Benchmark | Task]) -> list[tuple[int | None, Any]]:
    """For each of `tasks` the shots it asks for, and its tasks and groups by name."""
    from lm_eval.tasks import TaskManager

    specs = [(task.shots, task.task) if isinstance(task, Benchmark) else (None, task) for task in tasks]
    # The index of all tasks takes seconds and is needed for names only.
    named = any(isinstance(spec, str) and not Path(spec).is_file() for _, spec in specs)
    manager = TaskManager(include_defaults=named)
    loaded: list[tuple[int | None, Any]] = []
    taken: set[str] = set()
    for shots, spec in specs:
        try:
            part = manager.load([spec])
        except Exception as error:  # a task's own code may raise anything
            reason = " ".join(str(error).split())
            raise DownstreamError(
                f"task {spec!r} cannot be loaded ({type(error).__name__}: {reason}); check its name, and let "
                "download=True fetch its data once if they are not in the cache of datasets"
            ) from error
        for name in part["tasks"]:
            if name in taken:
                raise DownstreamError(f"task {name!r} is asked for twice; name each task once")
            taken.add(name)
        loaded.append((shots, part))
    return loaded


def _set_shots(task: Task, shots: int | None) -> None:
    own = task.config.num_fewshot
    if shots and own == 0:
        raise DownstreamError(
            f"task {task.task_name!r} takes no examples before its questions; leave num_fewshot out for it"
        )
    task.set_config("num_fewshot", (own or 0) if shots is None else shots)


def _numbers(found: Mapping[str, Any]) -> dict[str, float]:
    return {
        key: float(value)
        for key, value in found.items()
        if "," in key and "_stderr," not in key and isinstance(value, int | float)
    }
