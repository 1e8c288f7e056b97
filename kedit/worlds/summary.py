# SPDX-License-Identifier: Apache-2.0
"""Statistics of a world in the form of S2RKE's tables 1 and 2."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kedit.worlds.entries import Entry, Subject
from kedit.worlds.relations import CATEGORIES


@dataclass(frozen=True, slots=True)
class CategoryRow:
    """A row of table 2. `average` is edits per subject."""

    category: str
    subjects: int
    relations: int
    edits: int
    average: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """Table 1 (records per subject over the whole world) and table 2 (`rows`, the last one over all)."""

    records: int
    subjects: int
    relations: int
    most_per_subject: int
    fewest_per_subject: int
    average_per_subject: float
    rows: tuple[CategoryRow, ...]


def measure(subjects: Sequence[Subject], entries: Sequence[Entry]) -> Statistics:
    """Count a world."""
    per_subject = Counter(entry.subject.name for entry in entries)
    rows = [_row(subjects, entries, category, (category,)) for category in CATEGORIES]
    total = _row(subjects, entries, "All", CATEGORIES)
    return Statistics(
        records=len(entries),
        subjects=len(subjects),
        relations=total.relations,
        most_per_subject=max(per_subject.values()),
        fewest_per_subject=min(per_subject.values()),
        average_per_subject=total.average,
        rows=(*rows, total),
    )


def _row(subjects: Sequence[Subject], entries: Sequence[Entry], label: str, categories: Sequence[str]) -> CategoryRow:
    counted = sum(subject.category in categories for subject in subjects)
    own = [entry for entry in entries if entry.subject.category in categories]
    names = {entry.relation.name for entry in own}
    return CategoryRow(label, counted, len(names), len(own), len(own) / counted)


def tables(statistics: Statistics) -> str:
    """Both tables as Markdown."""
    first: Mapping[str, str] = {
        "Records": str(statistics.records),
        "Subjects": str(statistics.subjects),
        "Relations": str(statistics.relations),
        "Maximum records per subject": str(statistics.most_per_subject),
        "Minimum records per subject": str(statistics.fewest_per_subject),
        "Average records per subject": f"{statistics.average_per_subject:.1f}",
    }
    lines = ["| Item | World |", "|---|---|"]
    lines += [f"| {item} | {value} |" for item, value in first.items()]
    lines += ["", "| Categories | Subjects | Relations | Edits (all) | Edits (avg) |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.category} | {row.subjects} | {row.relations} | {row.edits} | {row.average:.1f} |"
        for row in statistics.rows
    ]
    return "\n".join(lines)
