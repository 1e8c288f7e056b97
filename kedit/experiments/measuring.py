# SPDX-License-Identifier: Apache-2.0
"""Measures one task, in whatever process it is given to; nothing is written here."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from json import loads
from typing import Any

import torch

from kedit.editors.registry import load_editor
from kedit.experiments.cells import Cell, checked_rows
from kedit.experiments.experiment import ExperimentError
from kedit.experiments.fingerprints import folder_fingerprint
from kedit.experiments.grid import ModelEntry, SourceFiles, Task, named
from kedit.experiments.setting import Measure, Setting
from kedit.models.language_model import LanguageModel
from kedit.paths import model_folder
from kedit.versions import versions

__all__ = ["Outcome", "attempt", "measure"]

# An executor may run tasks on threads, which would share one model.
_ALONE = threading.Lock()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task ended.

    Attributes:
        task: which.
        cell: what was measured, or None.
        error: what went wrong, in one line; empty if nothing did.
        trace: where it went wrong.
    """

    task: Task
    cell: Cell | None
    error: str = ""
    trace: str = ""


def attempt(task: Task) -> Outcome:
    """Measure a task; an error is part of the outcome, as not every exception can travel between processes."""
    try:
        return Outcome(task, measure(task))
    except Exception as error:
        _model.cache_clear()  # whatever was interrupted may have left it half changed
        line = f"{task}: {type(error).__name__}: {' '.join(str(error).split())}"
        return Outcome(task, None, line, traceback.format_exc())


def measure(task: Task) -> Cell:
    """Measure a task on one thread. Model and source are loaded once a process and kept until another is asked for.

    Raises:
        ExperimentError: sources, weights or facts are others here than where the task was made, the protocol does not
            exist, does not leave the model as it was, or gives something else than numbers.
    """
    with _ALONE, _one_thread(), _without_bars():
        if not task.code.is_current:
            raise ExperimentError("the sources that measure are others in this process; install the same everywhere")
        protocols = named(task.code.protocols)
        if task.protocol not in protocols:
            raise ExperimentError(f"there is no protocol {task.protocol!r} in {task.code.protocols}; name one of it")
        protocol: Measure = protocols[task.protocol]
        model = _model(task.model)
        editor = load_editor(task.editor, loads(task.config)) if task.editor else None
        source = _source(task.code.source, task.files)
        begin = time.perf_counter()
        rows = protocol(Setting(model, editor, source, task.repeat), loads(task.parameters))
        seconds = round(time.perf_counter() - begin, 3)
        if model.fingerprint() != task.model.origin:
            raise ExperimentError(f"protocol {task.protocol!r} changed the model it was given; it edits a copy")
        return Cell(task.key, checked_rows(rows, task), seconds, versions())


@lru_cache(maxsize=1)
def _model(entry: ModelEntry) -> LanguageModel:
    folder = model_folder(entry.place)
    model = LanguageModel.from_pretrained(folder)
    if (model.origin, folder_fingerprint(folder)) != (entry.origin, entry.files):
        raise ExperimentError(f"{folder} is not the model that was asked for; copy its folder here again")
    return model


@lru_cache(maxsize=1)
def _source(opener: str, files: SourceFiles) -> Any:
    if not opener:
        return None
    if not files.is_current:
        raise ExperimentError(f"{files.facts} or {files.texts} has changed since the run began; run it again")
    return named(opener)(files.facts, files.texts)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums depend on the number of threads that add them up."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _without_bars() -> Iterator[None]:
    """No progress bars of model loading across ours."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
