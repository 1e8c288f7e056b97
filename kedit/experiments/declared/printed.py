# SPDX-License-Identifier: Apache-2.0
"""The papers' printed numbers under the names of the experiments, so that they stand beside ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from kedit.experiments.declared.d4s import CHECKPOINTS, COUNTERFACT, EDITS, MQUAKE, OTHER_EDITS
from kedit.experiments.declared.merge import LARGEST
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
    translate = _TRANSLATIONS.get(experiment.name)
    return rows if translate is None else translate(rows)


def _counts(rows: Rows) -> Rows:
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


def _merge_table_1(rows: Rows) -> Rows:
    """The paper's FT-L is an FT without a ball, as it was run."""
    return renamed(
        rows,
        series={"FT-L": "FT"},
        metric={"Efficacy": "EM", "Paraphrase": "PAR", "Specificity": "SPE"},
        place={100: LARGEST},
    )


def _merge_table_2(rows: Rows) -> Rows:
    found = renamed(rows, series={"possessive": "subject first", "name of": "relation first"})
    return tuple(replace(row, place=8) for row in found)


_D4S = MappingProxyType({"Eff": "EM", "Par": "PAR", "Spe": "SPE"})


def _d4s_table_2(rows: Rows) -> Rows:
    places = dict(zip((100, 500, 1000), (CHECKPOINTS[0], 100, EDITS), strict=True))
    return renamed(rows, arm={"": "overall"}, metric=_D4S, place=places)


def _d4s_table_3(rows: Rows) -> Rows:
    places = {COUNTERFACT: EDITS, MQUAKE: OTHER_EDITS}
    return tuple(
        replace(row, series=f"{row.series}, {row.arm}", arm="overall", place=places[row.arm])
        for row in renamed(rows, metric=_D4S)
    )


_TRANSLATIONS: Mapping[str, Callable[[Rows], Rows]] = MappingProxyType(
    {
        "s2rke-table-1": _counts,
        "s2rke-table-2": _counts,
        "merge-table-1": _merge_table_1,
        "merge-table-2": _merge_table_2,
        "d4s-table-2": _d4s_table_2,
        "d4s-table-3": _d4s_table_3,
    }
)
