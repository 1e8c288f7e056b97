# SPDX-License-Identifier: Apache-2.0
"""The formats that are read, and how a record's fields tell which one it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from kedit.datasets import counterfact, knowedit, mquake, s2rke, zsre
from kedit.datasets.errors import DatasetError
from kedit.datasets.fields import Node, shown
from kedit.datasets.records import Record
from kedit.fact_files import fact_from_record

__all__ = ["FORMATS", "Format", "recognised"]

Reader = Callable[[Node, int, Mapping[str, str]], list[Record]]


@dataclass(frozen=True)
class Format:
    """A format of records.

    Attributes:
        marks: the fields that it is recognised by.
        read: the facts of a record, its number and the options; raises DatasetError or FactError without their place.
        options: what may be chosen, the default first.
    """

    marks: tuple[str, ...]
    read: Reader
    options: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))


def _own(record: Node, number: int, _options: Mapping[str, str]) -> list[Record]:
    """A record of `kedit.fact_files`, within the limits that every field has here."""
    for name, value in record.values.items():
        if isinstance(value, str | list) and value:
            record.prompts(name)
    fact = fact_from_record(record.values)
    return [Record(fact, fact.id or str(number))]


# In this order: MQuAKE has the field of CounterFact, too.
FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "s2rke": Format(("Star_Topology",), s2rke.read),
        "mquake": Format(("requested_rewrite", "questions"), mquake.read),
        "counterfact": Format(("requested_rewrite",), counterfact.read),
        "zsre": Format(("src", "alt", "answers"), zsre.read, MappingProxyType({"target": ("alt", "answers")})),
        "knowedit": Format(("prompt", "subject", "target_new"), knowedit.read),
        "kedit": Format(("prompt", "subject", "target"), _own),
    }
)


def recognised(record: Any) -> str:
    """The name of the first format whose marks a record has.

    Raises:
        DatasetError: it has those of none.
    """
    known = "; ".join(f"{name} has {', '.join(one.marks)}" for name, one in FORMATS.items())
    if not isinstance(record, Mapping):
        raise DatasetError(f"it is {shown(record)}; give an object ({known})")
    for name, one in FORMATS.items():
        if all(mark in record for mark in one.marks):
            return name
    fields = ", ".join(sorted(map(repr, record))[:12]) or "no fields"
    raise DatasetError(f"it has {fields[:200]}, the fields of no format ({known}); mend it or name the format")
