# SPDX-License-Identifier: Apache-2.0
"""Quick protocols and experiments, found by name in other processes; a measurement leaves a line in a file."""

from __future__ import annotations

import hashlib
import math
import os
import random
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from kedit.experiments.experiment import Experiment, Figure, Row, Series
from kedit.experiments.grid import Bench, ModelEntry, Task, model_entry, request_for, tasks_of
from kedit.experiments.setting import Measure, Setting

LOG = "KEDIT_TEST_LOG"
HERE = "editing_tests.library.experiments.quick_protocols"
BENCH = Bench(experiments=f"{HERE}:EXPERIMENTS", protocols=f"{HERE}:PROTOCOLS", source=f"{HERE}:open_source")


def open_source(facts: str, texts: str) -> str:
    return "".join(Path(file).read_text(encoding="utf-8") for file in (facts, texts) if file)


def numbers(setting: Setting, parameters: Mapping[str, Any]) -> Sequence[Row]:
    """Numbers that depend on everything that a cell is named by, and on the model's weights."""
    _note(setting, parameters)
    time.sleep(parameters.get("sleep", 0.0))
    editor = "" if setting.editor is None else setting.editor.name
    seed = hashlib.sha256(repr((editor, setting.source, setting.repeat, sorted(parameters.items()))).encode()).digest()
    draw = random.Random(seed)
    vector = torch.tensor([draw.gauss(0.0, 1.0) for _ in range(setting.model.f)])
    weight = float((setting.model.weight(0) @ vector).norm())
    rows = [Row(metric, draw.random() * weight, arm, place) for metric in "ab" for arm in "xy" for place in (1, 2)]
    return [*rows, Row("perplexity", math.inf)]


def failing(setting: Setting, parameters: Mapping[str, Any]) -> Sequence[Row]:
    _note(setting, parameters)
    raise ZeroDivisionError("nothing\nto divide by")


def undefined(setting: Setting, parameters: Mapping[str, Any]) -> Sequence[Row]:
    return [Row("a", 1.0), Row("b", math.nan)]


def twice(setting: Setting, parameters: Mapping[str, Any]) -> Sequence[Row]:
    return [Row("a", 1.0), Row("a", 2.0)]


def empty(setting: Setting, parameters: Mapping[str, Any]) -> Sequence[Row]:
    return []


def spoiling(setting: Setting, parameters: Mapping[str, Any]) -> Sequence[Row]:
    with torch.no_grad():
        setting.model.parameter(setting.model.weight_name(0)).add_(1.0)
    return [Row("a", 1.0)]


_BUSY = threading.Lock()


def alone(setting: Setting, parameters: Mapping[str, Any]) -> Sequence[Row]:
    """Fails if another thread measures."""
    if not _BUSY.acquire(blocking=False):
        raise RuntimeError("two at a time")
    time.sleep(0.02)
    _BUSY.release()
    return [Row("a", 1.0)]


def _note(setting: Setting, parameters: Mapping[str, Any]) -> None:
    if name := os.environ.get(LOG):
        with Path(name).open("a", encoding="utf-8") as file:
            editor = "" if setting.editor is None else setting.editor.name
            file.write(f"{editor} {setting.model.name} {setting.repeat} {sorted(parameters.items())}\n")


PROTOCOLS: Mapping[str, Measure] = MappingProxyType(
    {one.__name__: one for one in (numbers, failing, undefined, twice, empty, spoiling, alone)}
)


def made(name: str, *series: Series, repeats: int = 3) -> Experiment:
    return Experiment(
        name=name, paper="kedit", item="figure 1", title="Numbers.", series=series, claims=(), repeats=repeats,
        figure=Figure("lines", ("a",)), models=("tiny-gpt2",),
    )  # fmt: skip


FIRST = Series("ft", "numbers", "ft", {"steps": 3}, {"size": 2})
AGAIN = Series("again", "numbers", "ft", {"steps": 3}, {"size": 2})
EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        one.name: one
        for one in (
            made("one", FIRST, Series("rome", "numbers", "rome"), Series("none", "numbers")),
            made("other", AGAIN, Series("more", "numbers", "kn")),
            made("broken", FIRST, Series("failing", "failing", "rome"), repeats=2),
        )
    }
)


@cache
def entry(name: str = "tiny-gpt2") -> ModelEntry:
    return model_entry(name)


def grid(*experiments: str | Experiment, **options: Any) -> list[Task]:
    """Tasks on one model."""
    chosen = [EXPERIMENTS[one] if isinstance(one, str) else one for one in experiments]
    return [task for one in chosen for _, task in tasks_of(one, request_for(one, [entry()], BENCH, **options))]
