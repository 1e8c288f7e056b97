# SPDX-License-Identifier: Apache-2.0
"""Twins of experiments in the paper's own size, for full models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from kedit.downstream import OPEN_LLM
from kedit.experiments.experiment import Experiment, Quantity, Series

__all__ = ["SUFFIX", "twins"]

SUFFIX = "@paper"

# Our size -> the paper's; 0 is the unedited model.
_BATCHES = {1: 1, 2: 2, 4: 4, 8: 10, 12: 100}
_SEQUENCE = {20: 100, 50: 300, 100: 500, 150: 800, 200: 1000}
_LONG = {20: 1000, 50: 2000, 100: 5000, 150: 8000, 200: 10_000}
_OTHER = {30: 500, 60: 1000}
_TYPED = {1: 1, 5: 100, 10: 500, 20: 1000}
_TASKS: Mapping[str, Any] = MappingProxyType({"tasks": list(OPEN_LLM)})
_BLOCK: Mapping[str, Any] = MappingProxyType({"block": 100})

_SIZES: Mapping[str, tuple[Mapping[int, int], Mapping[str, Any]]] = MappingProxyType(
    {
        "merge-figure-1": (_BATCHES, {}),
        "merge-figure-4": (_BATCHES, {}),
        "merge-figure-5": (_BATCHES, {}),
        "merge-figure-6": (_BATCHES, {}),
        "merge-figure-7": (_BATCHES, {}),
        "merge-table-1": (_BATCHES, {}),
        "d4s-figure-2": (_TYPED, _TASKS),
        "d4s-figure-3": (_TYPED, _TASKS),
        "d4s-figure-4": (_SEQUENCE, _BLOCK),
        "d4s-figure-5": (_SEQUENCE, _BLOCK),
        "d4s-figure-6": (_LONG, {**_BLOCK, **_TASKS}),
        "d4s-figure-8": (_SEQUENCE, _BLOCK),
        "d4s-table-2": (_SEQUENCE, _BLOCK),
        "d4s-table-3": (_SEQUENCE | _OTHER, _BLOCK),
        "d4s-table-4": (_LONG, {**_BLOCK, **_TASKS}),
    }
)


def twins(experiments: Iterable[Experiment]) -> Iterator[Experiment]:
    """The same experiments, called `NAME@paper`, with the paper's batches, numbers of edits, checkpoints and tasks.

    Those whose paper names no size, or the same one, have no twin. Sequences in which subjects return are of no paper
    and left out.
    """
    for experiment in experiments:
        if experiment.name in _SIZES:
            yield _twin(experiment, *_SIZES[experiment.name])


def _twin(experiment: Experiment, sizes: Mapping[int, int], more: Mapping[str, Any]) -> Experiment:
    def size(number: int) -> int:
        return sizes.get(number, number)

    def series(one: Series) -> Series:
        given = dict(one.parameters)
        given["n"] = size(given["n"])
        if "checkpoints" in given:
            given["checkpoints"] = [size(number) for number in given["checkpoints"]]
        return replace(one, parameters=given | dict(more))

    def quantity(one: Quantity | None) -> Quantity | None:
        return one if one is None or one.place is None else replace(one, place=size(one.place))

    own = [one for one in experiment.series if one.parameters.get("facts") != "returning"]
    labels = {one.label for one in own}
    return replace(
        experiment,
        name=f"{experiment.name}{SUFFIX}",
        title=f"{experiment.title}, in the paper's size",
        series=tuple(series(one) for one in own),
        figure=replace(experiment.figure, places=tuple(size(place) for place in experiment.figure.places)),
        claims=tuple(
            replace(claim, left=quantity(claim.left) or claim.left, right=quantity(claim.right))
            for claim in experiment.claims
            if claim.left.series in labels | {"*"}
        ),
        note=f"{experiment.note} Numbers of facts and edits in this note are those of {experiment.name}.".strip(),
    )
