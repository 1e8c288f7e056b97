# SPDX-License-Identifier: Apache-2.0
"""The grid of an experiment, as plain data that travels to any process: one task a series, model and repeat."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedit.experiments.experiment import Experiment, ExperimentError, Series
from kedit.experiments.fingerprints import code_fingerprint, file_fingerprint, folder_fingerprint
from kedit.models.language_model import LanguageModel
from kedit.paths import model_folder, tiny_models

__all__ = [
    "Bench",
    "Code",
    "ModelEntry",
    "Request",
    "SourceFiles",
    "Task",
    "canonical",
    "digest_of",
    "model_entry",
    "named",
    "request_for",
    "tasks_of",
    "unique",
]


@dataclass(frozen=True, slots=True)
class Bench:
    """Where a process finds what it measures with: names `package.module:attribute`, so that a task stays plain data.

    Attributes:
        experiments: mapping of names to experiments.
        protocols: mapping of names to `Measure` functions.
        source: function of two paths as texts, a file of facts and one of texts, empty where none is given; what it
            gives is the `source` of a `Setting`. Empty for protocols that draw from something of their own.
    """

    experiments: str = "kedit.experiments.declared:BY_NAME"
    protocols: str = "kedit.experiments.protocols:PROTOCOLS"
    source: str = "kedit.experiments.sources:open_source"


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model of a run.

    Attributes:
        name: how tables call it.
        place: a tiny model's name, which every installation has, or a folder.
        origin: fingerprint of its weights.
        files: fingerprint of what lies beside them.
    """

    name: str
    place: str
    origin: str
    files: str


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """Files that facts and texts are drawn from, and their fingerprints; all empty where the tiny world is."""

    facts: str = ""
    texts: str = ""
    facts_fingerprint: str = ""
    texts_fingerprint: str = ""

    @classmethod
    def of(cls, facts: str | Path | None = None, texts: str | Path | None = None) -> SourceFiles:
        """The files as they are now; raises ExperimentError if one cannot be read."""
        paths = [str(Path(path).resolve()) if path else "" for path in (facts, texts)]
        return cls(*paths, *(file_fingerprint(Path(path)) if path else "" for path in paths))

    @property
    def is_current(self) -> bool:
        """Whether the files of this machine are the same."""
        return SourceFiles.of(self.facts, self.texts) == self


@dataclass(frozen=True, slots=True)
class Code:
    """What measures.

    Attributes:
        protocols, source: as in `Bench`.
        modules: what is in the fingerprint beside kedit's own sources.
        fingerprint: of the sources as they were when this was made.
    """

    protocols: str
    source: str
    modules: tuple[str, ...]
    fingerprint: str

    @classmethod
    def now(cls, bench: Bench, editors: Iterable[str] = ()) -> Code:
        """The sources as they are, with those of editors that are not built in."""
        paths = (bench.protocols, bench.source, *(editor for editor in editors if ":" in editor))
        modules = tuple(sorted({path.partition(":")[0] for path in paths if path}))
        return cls(bench.protocols, bench.source, modules, code_fingerprint(*modules))

    @property
    def is_current(self) -> bool:
        """Whether the sources of this process are the same."""
        return code_fingerprint(*self.modules) == self.fingerprint


@dataclass(frozen=True, slots=True)
class Request:
    """What is measured of an experiment.

    Attributes:
        models: on which models.
        repeats: seeded draws, from 0 on.
        files: what is drawn from.
        code: what measures.
    """

    models: tuple[ModelEntry, ...]
    repeats: int
    files: SourceFiles
    code: Code


@dataclass(frozen=True, slots=True)
class Task:
    """One cell to measure. `config` and `parameters` are JSON texts with sorted names."""

    protocol: str
    editor: str
    config: str
    parameters: str
    repeat: int
    model: ModelEntry
    files: SourceFiles
    code: Code

    @property
    def key(self) -> dict[str, Any]:
        """Everything that its numbers depend on, and nothing else: no experiment, no path, no name of a model."""
        return {
            "protocol": self.protocol,
            "editor": self.editor,
            "config": json.loads(self.config),
            "parameters": json.loads(self.parameters),
            "repeat": self.repeat,
            "weights": self.model.origin,
            "tokens": self.model.files,
            "facts": self.files.facts_fingerprint,
            "texts": self.files.texts_fingerprint,
            "code": self.code.fingerprint,
            "protocols": self.code.protocols,
            "source": self.code.source,
        }

    @property
    def digest(self) -> str:
        """Name of its cell."""
        return digest_of(self.key)

    def __str__(self) -> str:
        return " ".join(part for part in (self.model.name, self.editor, self.protocol, f"repeat {self.repeat}") if part)


def digest_of(key: Mapping[str, Any]) -> str:
    """Name of the cell with this key."""
    return hashlib.sha256(canonical(key).encode()).hexdigest()[:24]


def canonical(data: Any) -> str:
    """JSON with sorted names, the same for equal data."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def named(path: str) -> Any:
    """What a `package.module:attribute` names.

    Raises:
        ExperimentError: there is no such thing.
    """
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ExperimentError(f"{path!r} cannot be imported ({error}); give 'package.module:attribute'") from error


def model_entry(name: str) -> ModelEntry:
    """A model by a tiny model's name or a folder; it is loaded for its fingerprint.

    Raises:
        FileNotFoundError: it is neither.
        ModelError: it does not load.
    """
    folder = model_folder(name)
    place = name if name in tiny_models() else str(folder)
    return ModelEntry(folder.name, place, LanguageModel.from_pretrained(folder).origin, folder_fingerprint(folder))


def request_for(
    experiment: Experiment,
    models: Iterable[ModelEntry],
    bench: Bench,
    *,
    repeats: int | None = None,
    files: SourceFiles | None = None,
) -> Request:
    """What a run measures of an experiment, with the sources as they are now.

    Raises:
        ExperimentError: fewer than one repeat or models that are none or called alike.
    """
    entries = tuple(models)
    names = [entry.name for entry in entries]
    if not entries or len(set(names)) < len(names):
        raise ExperimentError(f"models {names} are none or not told apart by their folders' names; give each once")
    number = experiment.repeats if repeats is None else repeats
    if number < 1:
        raise ExperimentError(f"{number} repeats measure nothing; give a number from 1 on")
    return Request(entries, number, files or SourceFiles(), Code.now(bench, (one.editor for one in experiment.series)))


def tasks_of(experiment: Experiment, request: Request) -> Iterator[tuple[Series, Task]]:
    """Each series with its tasks: models, then series, then repeats.

    Raises:
        ExperimentError: settings or parameters that JSON does not hold.
    """
    for model in request.models:
        for series in experiment.series:
            config, parameters = (_plain(experiment, series, part) for part in ("config", "parameters"))
            for repeat in range(request.repeats):
                yield (
                    series,
                    Task(
                        series.protocol, series.editor, config, parameters, repeat, model, request.files, request.code
                    ),
                )  # fmt: skip


def unique(tasks: Iterable[Task]) -> list[Task]:
    """Tasks of different cells, in an order in which a process seldom changes its model.

    Repeats come last, so that a run that is cut off has fewer repeats of everything rather than a part of the grid.
    """
    found: dict[str, Task] = {}
    order: dict[str, int] = {}
    for task in tasks:
        found.setdefault(task.digest, task)
        order.setdefault(task.model.place, len(order))
    return sorted(found.values(), key=lambda task: (order[task.model.place], task.repeat))


def _plain(experiment: Experiment, series: Series, part: str) -> str:
    try:
        return canonical(dict(getattr(series, part)))
    except (TypeError, ValueError) as error:
        raise ExperimentError(
            f"{experiment.name}, series {series.label!r}: {part} cannot be written as JSON ({error}); give plain values"
        ) from error
