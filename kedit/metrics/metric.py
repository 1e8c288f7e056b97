# SPDX-License-Identifier: Apache-2.0
"""What a metric is: a function with a name, a definition, a protocol and a unit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, ParamSpec

__all__ = ["Metric", "MetricError", "mean", "mean_by_record"]

P = ParamSpec("P")


class MetricError(ValueError):
    """A metric asked of something it is not defined on; there is never a number instead."""


@dataclass(frozen=True)
class Metric(Generic[P]):
    """A named, callable metric.

    Attributes:
        name: the short name, as in tables.
        definition: one sentence, exact enough to compute it by hand.
        protocol: on what it is measured: prompts, decoding, which model, when.
        unit: unit of the number.
        source: paper and place.
        better: which direction is good, or "neither" for a plain description.
        compute: the function itself.
    """

    name: str
    definition: str
    protocol: str
    unit: str
    source: str
    better: Literal["higher", "lower", "neither"]
    compute: Callable[P, float]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> float:
        """The value; see `compute` for the arguments and errors."""
        return self.compute(*args, **kwargs)


def mean(values: Sequence[float], what: str) -> float:
    """Arithmetic mean.

    Raises:
        MetricError: nothing to average.
    """
    if not values:
        raise MetricError(f"{what} of nothing is not defined; pass at least one value")
    return sum(values) / len(values)


def mean_by_record(records: Sequence[Sequence[bool]], what: str) -> float:
    """Share of hits of each record, averaged over records.

    Raises:
        MetricError: no record, or a record without prompts.
    """
    for index, record in enumerate(records):
        if not record:
            raise MetricError(f"record {index} has no prompts to compare on; give it some or leave it out yourself")
    return mean([sum(record) / len(record) for record in records], what)
