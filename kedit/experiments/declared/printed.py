# SPDX-License-Identifier: Apache-2.0
"""The papers' printed numbers under the names of the experiments, so that they stand beside ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from kedit.experiments.declared.d4s_claims import CHECKPOINTS, COUNTERFACT, EDITS, MQUAKE, OTHER_EDITS
from kedit.experiments.declared.merge import LARGEST, PAIRED
from kedit.experiments.declared.paper_size import SUFFIX
from kedit.experiments.declared.s2rke import FACTS
from kedit.experiments.experiment import Experiment
from kedit.experiments.published import Published, published, renamed

__all__ = ["printed"]

Rows = tuple[Published, ...]


def printed(experiment: Experiment) -> Rows:
    """What the paper prints in the item of an experiment; numbers that have no counterpart keep their names."""
    if experiment.paper == "kedit":
        return ()
    rows = published(experiment.paper, experiment.item)
    translate = _TRANSLATIONS.get(experiment.name.removesuffix(SUFFIX))
    if translate is None:
        return rows
    return translate(rows, _PLACES_OF_PAPER if experiment.name.endswith(SUFFIX) else _PLACES)


@dataclass(frozen=True, slots=True)
class _Places:
    """Which places stand for the paper's: facts in a batch, numbers of edits, edits on CounterFact and MQuAKE."""

    batch: int
    edits: Mapping[int, int]
    data: Mapping[str, int]


_PLACES = _Places(
    LARGEST,
    dict(zip((100, 500, 1000), (CHECKPOINTS[0], 100, EDITS), strict=True)),
    {COUNTERFACT: EDITS, MQUAKE: OTHER_EDITS},
)
_PLACES_OF_PAPER = _Places(100, {}, {COUNTERFACT: 1000, MQUAKE: 1000})


def _counts(rows: Rows, _: _Places) -> Rows:
    """Table 1 has a column a benchmark, table 2 a row a category; ours has one source whose arms are categories."""
    names = {
        "Edits per subject": "records per subject",
        "Average records per subject": "records per subject",
    }
    return tuple(
        replace(
            row,
            series=FACTS,
            arm="All" if row.item == "table 1" else row.series,
            model=row.series if row.item == "table 1" else "S2RKE",
            metric=names.get(row.metric, row.metric[:1].lower() + row.metric[1:]),
        )
        for row in rows
    )


def _merge_table_1(rows: Rows, places: _Places) -> Rows:
    """The paper's FT-L is an FT without a ball, as it was run."""
    return renamed(
        rows,
        series={"FT-L": "FT"},
        metric={"Efficacy": "EM", "Paraphrase": "PAR", "Specificity": "SPE"},
        place={100: places.batch},
    )


def _merge_table_2(rows: Rows, _: _Places) -> Rows:
    found = renamed(rows, series={"possessive": "subject first", "name of": "relation first"})
    return tuple(replace(row, place=PAIRED) for row in found)


_D4S = MappingProxyType({"Eff": "EM", "Par": "PAR", "Spe": "SPE"})


def _d4s_table_2(rows: Rows, places: _Places) -> Rows:
    return renamed(rows, arm={"": "overall"}, metric=_D4S, place=places.edits)


def _d4s_table_3(rows: Rows, places: _Places) -> Rows:
    return tuple(
        replace(row, series=f"{row.series}, {row.arm}", arm="overall", place=places.data[row.arm])
        for row in renamed(rows, metric=_D4S)
    )


def _d4s_table_4(rows: Rows, _: _Places) -> Rows:
    return renamed(rows, arm={"": "overall"}, metric={"truthfulqa_mc": "truthfulqa"})


_TRANSLATIONS: Mapping[str, Callable[[Rows, _Places], Rows]] = MappingProxyType(
    {
        "s2rke-table-1": _counts,
        "s2rke-table-2": _counts,
        "merge-table-1": _merge_table_1,
        "merge-table-2": _merge_table_2,
        "d4s-table-2": _d4s_table_2,
        "d4s-table-3": _d4s_table_3,
        "d4s-table-4": _d4s_table_4,
    }
)
