# SPDX-License-Identifier: Apache-2.0
"""Statistics of facts in the form of S2RKE's tables 1 and 2."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kedit.datasets.categories import CATEGORIES
from kedit.datasets.records import Dataset

__all__ = ["CategoryRow", "Counted", "Prompts", "Statistics", "count_prompts", "counted", "measure", "tables"]


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted of one fact. Subjects are told apart by name."""

    subject: str
    relation: str
    category: str = ""


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
    """Table 1 (records per subject over everything) and table 2 (`rows`, the last one over all).

    `rows` is empty where no fact has a category.
    """

    records: int
    subjects: int
    relations: int
    most_per_subject: int
    fewest_per_subject: int
    average_per_subject: float
    rows: tuple[CategoryRow, ...]


@dataclass(frozen=True, slots=True)
class Prompts:
    """How much there is to edit and to ask. Prompts and objects are counted once each, the questions one by one."""

    cases: int
    prompts: int
    targets: int
    true_objects: int
    paraphrases: int
    neighborhood: int
    specificity: int
    portability: int


def counted(dataset: Dataset) -> list[Counted]:
    """What `measure` takes of a data set."""
    return [Counted(one.fact.subject, one.fact.relation, one.category) for one in dataset.records]


def measure(facts: Sequence[Counted]) -> Statistics:
    """Count facts; categories come in the order of the paper, others behind them by name.

    Raises:
        ValueError: there are no facts.
    """
    if not facts:
        raise ValueError("there are no facts to count; give at least one")
    per_subject = Counter(fact.subject for fact in facts)
    total = _row("All", facts)
    groups: dict[str, list[Counted]] = {}
    for fact in facts:
        groups.setdefault(fact.category, []).append(fact)
    known = [name for name in CATEGORIES if name in groups]
    others = sorted(groups.keys() - {*known, ""})
    rows = [_row(name, groups[name]) for name in (*known, *others)]
    if rows and "" in groups:
        rows.append(_row("(none)", groups[""]))
    return Statistics(
        records=total.edits,
        subjects=total.subjects,
        relations=total.relations,
        most_per_subject=max(per_subject.values()),
        fewest_per_subject=min(per_subject.values()),
        average_per_subject=total.average,
        rows=(*rows, total) if rows else (),
    )


def _row(label: str, facts: Sequence[Counted]) -> CategoryRow:
    subjects = len({fact.subject for fact in facts})
    relations = len({fact.relation for fact in facts} - {""})
    return CategoryRow(label, subjects, relations, len(facts), len(facts) / subjects)


def count_prompts(dataset: Dataset) -> Prompts:
    """Count what stands in the records of a data set."""
    facts = dataset.facts()
    return Prompts(
        cases=len({record.case for record in dataset.records}),
        prompts=len({fact.prompt.text for fact in facts}),
        targets=len({fact.target for fact in facts}),
        true_objects=len({fact.true for fact in facts}),
        paraphrases=_total(fact.paraphrases for fact in facts),
        neighborhood=_total(fact.neighborhood for fact in facts),
        specificity=_total(record.specificity for record in dataset.records),
        portability=_total(record.portability for record in dataset.records),
    )


def _total(groups: Iterable[Sequence[object]]) -> int:
    return sum(map(len, groups))


def tables(statistics: Statistics, name: str) -> str:
    """Both tables as Markdown, the second where there are categories; `name` is the title of the column."""
    first: Mapping[str, str] = {
        "Records": str(statistics.records),
        "Subjects": str(statistics.subjects),
        "Relations": str(statistics.relations),
        "Maximum records per subject": str(statistics.most_per_subject),
        "Minimum records per subject": str(statistics.fewest_per_subject),
        "Average records per subject": f"{statistics.average_per_subject:.1f}",
    }
    lines = [f"| Item | {name} |", "|---|---|"]
    lines += [f"| {item} | {value} |" for item, value in first.items()]
    if statistics.rows:
        lines += ["", "| Categories | Subjects | Relations | Edits (all) | Edits (avg) |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.category} | {row.subjects} | {row.relations} | {row.edits} | {row.average:.1f} |"
        for row in statistics.rows
    ]
    return "\n".join(lines)
