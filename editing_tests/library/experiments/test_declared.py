# SPDX-License-Identifier: Apache-2.0
"""The declared experiments: complete, and consistent in themselves."""

from __future__ import annotations

import pytest

from kedit.downstream import OPEN_LLM
from kedit.editors import load_editor
from kedit.experiments.declared import EXPERIMENTS, IN_PAPER_SIZE
from kedit.experiments.declared.printed import printed
from kedit.experiments.experiment import Experiment
from kedit.experiments.protocols import PROTOCOLS
from kedit.paths import tiny_models

# Every figure and table of the three papers that shows a measurement, and three questions that they leave open.
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
}
# Those on which facts share a subject, or the first and the last do: on all models.
SHARED = {name for name in NAMES if name.startswith(("s2rke-figure", "merge"))}

EACH = pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=list(EXPERIMENTS))


def test_every_figure_and_table_has_a_name() -> None:
    assert set(EXPERIMENTS) == NAMES


@EACH
def test_series_name_editors_and_protocols(experiment: Experiment) -> None:
    for series in experiment.series:
        assert series.protocol in PROTOCOLS
        if series.editor:
            load_editor(series.editor, series.config)


@EACH
def test_claims_speak_of_series_that_are_measured(experiment: Experiment) -> None:
    labels = {series.label for series in experiment.series} | {"*"}
    for claim in experiment.claims:
        for quantity in filter(None, (claim.left, claim.right)):
            assert quantity.series in labels, claim.text


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
        assert len(twin.series) == len(own.series) and len(twin.claims) == len(own.claims)
        assert max(one.parameters["n"] for one in twin.series) > max(one.parameters["n"] for one in own.series)
        for one in twin.series:
            assert all(place <= one.parameters["n"] for place in one.parameters.get("checkpoints", ()))
    table = IN_PAPER_SIZE["d4s-table-2@paper"]
    assert table.figure.places == (100, 500, 1000)
    assert {claim.left.place for claim in table.claims} == {100, 1000}
    assert IN_PAPER_SIZE["d4s-table-4@paper"].series[0].parameters["tasks"] == list(OPEN_LLM)


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
