# SPDX-License-Identifier: Apache-2.0
"""The papers' tables, counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from editing_tests.library.datasets import published
from editing_tests.library.datasets.published import written
from kedit.datasets import read_dataset
from kedit.datasets.statistics import CategoryRow, Counted, Prompts, Statistics, count_prompts, counted, measure, tables


def test_counts_of_categories_subjects_and_relations() -> None:
    facts = [
        Counted("Ada", "bornIn", "Person"),
        Counted("Ada", "diedIn", "Person"),
        Counted("Bo", "bornIn", "Person"),
        Counted("Lake", "isLocatedIn", "GeoEntity"),
        Counted("War", "happenedIn", "event"),
        Counted("War", "happenedOnDate", "event"),
        Counted("War", "isLocatedIn", "event"),
    ]
    assert measure(list(reversed(facts))) == Statistics(
        records=7,
        subjects=4,
        relations=5,
        most_per_subject=3,
        fewest_per_subject=1,
        average_per_subject=7 / 4,
        rows=(
            CategoryRow("Person", 2, 2, 3, 1.5),
            CategoryRow("GeoEntity", 1, 1, 1, 1.0),
            CategoryRow("event", 1, 3, 3, 3.0),
            CategoryRow("All", 4, 5, 7, 7 / 4),
        ),
    )


def test_without_categories_there_is_one_table() -> None:
    statistics = measure([Counted("Ada", "")])
    assert (statistics.rows, statistics.relations) == ((), 0)
    assert tables(statistics, "CounterFact").splitlines() == [
        "| Item | CounterFact |",
        "|---|---|",
        "| Records | 1 |",
        "| Subjects | 1 |",
        "| Relations | 0 |",
        "| Maximum records per subject | 1 |",
        "| Minimum records per subject | 1 |",
        "| Average records per subject | 1.0 |",
    ]


def test_facts_without_a_category_among_others_have_a_row() -> None:
    rows = measure([Counted("Ada", "r"), Counted("Bo", "r", "Person")]).rows
    assert [row.category for row in rows] == ["Person", "(none)", "All"]


def test_nothing_is_not_zero() -> None:
    with pytest.raises(ValueError, match="no facts to count"):
        measure([])


def test_prompts_of_a_data_set(tmp_path: Path) -> None:
    found = read_dataset(written(tmp_path, [published.mquake(1), published.mquake(2)]))
    assert count_prompts(found) == Prompts(
        cases=2, prompts=4, targets=2, true_objects=2, paraphrases=4, neighborhood=0, specificity=0, portability=12
    )
    assert measure(counted(found)).subjects == 4
