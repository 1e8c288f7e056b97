# SPDX-License-Identifier: Apache-2.0
"""What is looked at throughout a sequence: what the model knows of other things, and how large its weights are."""

from __future__ import annotations

from collections.abc import Sequence

from kedit.downstream import OPEN_LLM, evaluate_tasks
from kedit.experiments.experiment import Row
from kedit.experiments.setting import Setting
from kedit.experiments.steps import Step
from kedit.facts import Fact
from kedit.metrics import choice_accuracy, mean_absolute_entry, model_perplexity
from kedit.models.language_model import LanguageModel

__all__ = ["GROWTH", "Watch"]

GROWTH = "L1 growth"
QUESTIONS = 100
TEXTS = 50


class Watch:
    """Questions and texts of no edited subject, downstream tasks, and the weights that were edited.

    Args:
        setting: model and source.
        facts: all that will be edited.
        tasks: rows of `OPEN_LLM`, or names or YAML files that lm-evaluation-harness knows.
    """

    def __init__(self, setting: Setting, facts: Sequence[Fact], tasks: Sequence[str] = ()) -> None:
        edited = {fact.subject for fact in facts}
        self._unedited = setting.model
        self._questions = setting.source.questions(QUESTIONS, setting.repeat, edited)
        self._texts = setting.source.texts(TEXTS, setting.repeat)
        self._tasks = tuple(tasks)
        self._names: dict[str, int | None] = {}

    def note(self, step: Step) -> None:
        """Remember which weights a step changed, and the layers of those that are down-projections."""
        layers = {step.model.weight_name(layer): layer for layer in range(step.model.n_blocks)}
        self._names |= {name: layers.get(name) for name in step.update.changes}

    def rows(self, model: LanguageModel, place: int, arm: str = "overall") -> list[Row]:
        """`CHOICE`, `PPL` and `L1 growth` of the model as it is now, and `L1` of each edited layer."""
        rows = [
            Row("CHOICE", choice_accuracy(model, self._questions), arm, place),
            Row("PPL", model_perplexity(model, self._texts), arm, place),
        ]
        if not place:
            return [*rows, Row(GROWTH, 1.0, arm, 0)]
        now, then = dict(model.module.named_parameters()), dict(self._unedited.module.named_parameters())
        sizes = {name: mean_absolute_entry(now[name]) for name in self._names}
        if sizes:
            before = sum(mean_absolute_entry(then[name]) for name in sizes)
            rows.append(Row(GROWTH, sum(sizes.values()) / before, arm, place))
        if arm == "overall":
            layers = sorted((layer, name) for name, layer in self._names.items() if layer is not None)
            rows += [Row("L1", sizes[name], f"layer {layer}", place) for layer, name in layers]
        return rows

    def task_rows(self, model: LanguageModel, place: int, arm: str = "overall") -> list[Row]:
        """Results of the downstream tasks: for rows of `OPEN_LLM` the one that is reported, for others all.

        Raises:
            DownstreamError: the extra `downstream` is not installed, or a task cannot be loaded.
        """
        rows = []
        for name in self._tasks:
            benchmark = OPEN_LLM.get(name)
            for task, found in evaluate_tasks(model, [benchmark or name]).items():
                if benchmark is None:
                    rows += [Row(f"{task} {metric}", value, arm, place) for metric, value in found.items()]
                elif task == benchmark.task:
                    rows.append(Row(name, found[benchmark.metric], arm, place))
        return rows
