# SPDX-License-Identifier: Apache-2.0
"""The declared experiments: complete, and consistent in themselves."""

from __future__ import annotations

import pytest

from editing_tests.library.experiments.protocol_rows import rows_given
from kedit.downstream import OPEN_LLM
from kedit.editors import load_editor
from kedit.experiments.declared import BY_NAME, EXPERIMENTS, IN_PAPER_SIZE
from kedit.experiments.declared.printed import printed
from kedit.experiments.experiment import Experiment, Quantity
from kedit.experiments.protocols import PROTOCOLS
from kedit.experiments.samples import RATES
from kedit.paths import tiny_models

# Every figure and table of the three papers that shows a measurement, and four questions that they leave open.
NAMES = {
    *(f"s2rke-figure-{number}" for number in ("2", "3", "4", "6", "7", "8a", "8b", "8c")),
    *(f"merge-figure-{number}" for number in (1, 3, 4, 5, 6, 7)),
    *(f"d4s-figure-{number}" for number in (2, 3, 4, 5, 6, 8)),
    *(f"s2rke-table-{number}" for number in (1, 2)),
    *(f"merge-table-{number}" for number in (1, 2)),
    *(f"d4s-table-{number}" for number in (2, 3, 4)),
    "ablation-relation-keys",
    "ablation-weight-overlap",
    "ablation-d4s-ground",
    "statistics-tokens",
}
# Those on which facts share a subject, or the first and the last do: on all models.
SHARED = {name for name in NAMES if name.startswith(("s2rke-figure", "merge"))}

EACH = pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=list(EXPERIMENTS))


WITH_TWINS = pytest.mark.parametrize("experiment", BY_NAME.values(), ids=list(BY_NAME))


def test_every_figure_and_table_has_a_name() -> None:
    assert set(EXPERIMENTS) == NAMES


@EACH
def test_series_name_editors_and_protocols(experiment: Experiment) -> None:
    for series in experiment.series:
        assert series.protocol in PROTOCOLS
        if series.editor:
            load_editor(series.editor, series.config)


def rows_of(experiment: Experiment) -> set[tuple[str, str, str, int]]:
    """Series, metric, arm and place of all that is measured."""
    return {
        (series.label, *row)
        for series in experiment.series
        if series.protocol != "counts"
        for row in rows_given(series.protocol, series.editor, series.config, series.parameters)
    }


def fitting(rows: set[tuple[str, str, str, int]], quantity: Quantity) -> set[tuple[str, str, int]]:
    """Series, arm and place of what a quantity is made of."""
    metrics = RATES if quantity.metric == "S" else (quantity.metric,)
    found = [
        {
            (series, arm, place)
            for series, name, arm, place in rows
            if name == metric
            and quantity.series in ("*", series)
            and quantity.arm in ("", arm)
            and quantity.place in (None, place)
        }
        for metric in metrics
    ]
    assert all(one == found[0] for one in found)
    return found[0]


@WITH_TWINS
def test_claims_compare_single_numbers_that_are_measured(experiment: Experiment) -> None:
    """A quantity that names no arm or place is a mean over all of them; only correlations leave them open."""
    rows = rows_of(experiment)
    for claim in experiment.claims:
        sides = [fitting(rows, quantity) for quantity in (claim.left, claim.right) if quantity is not None]
        if claim.direction in ("falling", "rising"):
            assert len(sides[0] & sides[1]) > 1, claim.text
        else:
            assert [len(side) for side in sides] == [1] * len(sides), claim.text


@WITH_TWINS
def test_figures_show_what_is_measured_and_average_no_places(experiment: Experiment) -> None:
    figure = experiment.figure
    rows = {
        row
        for row in rows_of(experiment)
        if (not figure.arms or row[2] in figure.arms) and (not figure.places or row[3] in figure.places)
    }
    assert set(figure.arms) <= {arm for _, _, arm, _ in rows}
    for metric in figure.metrics if rows else ():
        found = fitting(rows, Quantity(metric, "*"))
        assert found, metric
        if figure.layout != "lines":
            assert len({(series, arm) for series, arm, _ in found}) == len(found), metric


@WITH_TWINS
def test_printed_numbers_stand_where_ours_do(experiment: Experiment) -> None:
    tables = ("merge-table-1", "merge-table-2", "d4s-table-2", "d4s-table-3", "d4s-table-4@paper")
    if not experiment.name.startswith(tables):
        return  # others print no number of ours, or counts
    ours = rows_of(experiment)
    known = [row for row in printed(experiment) if row.metric in {metric for _, metric, _, _ in ours}]
    assert known and not [row for row in known if (row.series, row.metric, row.arm, row.place) not in ours]


@EACH
def test_claims_of_a_paper_say_where_they_stand_and_what_it_found(experiment: Experiment) -> None:
    for claim in experiment.claims:
        assert claim.text and claim.source
        assert claim.published or experiment.paper == "kedit", claim.text


@EACH
def test_models(experiment: Experiment) -> None:
    models = experiment.models or tiny_models()
    assert set(models) <= set(tiny_models())
    assert len(models) >= 2
    if experiment.name in SHARED and not experiment.name.startswith("s2rke-table"):
        assert set(models) == set(tiny_models())


def test_the_texts_of_claims_are_told_apart() -> None:
    for experiment in EXPERIMENTS.values():
        texts = [claim.text for claim in experiment.claims]
        assert len(set(texts)) == len(texts), experiment.name


def test_twins_have_the_papers_size() -> None:
    assert not EXPERIMENTS.keys() & IN_PAPER_SIZE.keys()
    for name, twin in IN_PAPER_SIZE.items():
        own = EXPERIMENTS[name.removesuffix("@paper")]
        assert {one.label for one in own.series} - {one.label for one in twin.series} <= {
            "MEMIT, returning", "D4S, returning"
        }  # fmt: skip
        words = [word for claim in twin.claims for word in claim.text.split()]
        assert not [word for word in words if word.isdigit() and int(word) > 1], "a text holds for both sizes"
        assert max(one.parameters["n"] for one in twin.series) > max(one.parameters["n"] for one in own.series)
        for one in twin.series:
            assert all(place <= one.parameters["n"] for place in one.parameters.get("checkpoints", ()))
    table = IN_PAPER_SIZE["d4s-table-2@paper"]
    assert table.figure.places == (100, 500, 1000)
    assert {claim.left.place for claim in table.claims} == {100, 1000}
    assert IN_PAPER_SIZE["d4s-table-4@paper"].series[0].parameters["tasks"] == list(OPEN_LLM)
    for name in ("d4s-figure-6@paper", "d4s-table-4@paper"):
        assert {one.parameters["n"] for one in IN_PAPER_SIZE[name].series} == {10_000}


@pytest.mark.parametrize("name", ["s2rke-table-1", "s2rke-table-2", "merge-table-1", "d4s-table-2", "d4s-table-3"])
def test_printed_numbers_have_our_names(name: str) -> None:
    experiment = EXPERIMENTS[name]
    labels = {series.label for series in experiment.series}
    rows = printed(experiment)
    assert rows and {row.series for row in rows} <= labels
    if name.startswith("d4s"):
        assert {row.metric for row in rows} <= {"EM", "PAR", "SPE", "Avg"}


def test_the_papers_own_places_stay_in_its_size() -> None:
    assert {row.place for row in printed(IN_PAPER_SIZE["d4s-table-2@paper"])} == {100, 500, 1000}
    assert {row.place for row in printed(EXPERIMENTS["d4s-table-2"])} == {20, 100, 200}
