# SPDX-License-Identifier: Apache-2.0
"""D4S (Huang et al. 2024): why edited models decline, and a history that is solved as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kedit.experiments.declared.d4s_claims import (
    CHECKPOINTS,
    COUNTERFACT,
    EDITS,
    FIGURE_2,
    FIGURE_3,
    FIGURE_4,
    FIGURE_5,
    FIGURE_6,
    FIGURE_8,
    MQUAKE,
    OTHER_EDITS,
    RETURNING,
    TABLE_2,
    TABLE_3,
    TABLE_4,
    TYPED,
)
from kedit.experiments.experiment import Claim, Experiment, Figure, Series

__all__ = ["D4S"]

REPEATS = 5
OTHER_CHECKPOINTS = (30, 60)
MODELS = ("tiny-gptj", "tiny-llama")  # the paper's are GPT-J and LLaMA-2
SIX = {"FT": "ft", "ROME": "rome", "MEMIT": "memit", "PMET": "pmet", "GRACE": "grace", "D4S": "d4s"}
_MOVES = {"KN": "kn", "ROME": "rome", "MEMIT": "memit"}


def _sequences(editors: Mapping[str, str]) -> tuple[Series, ...]:
    parameters = {"facts": "distinct", "n": EDITS, "checkpoints": list(CHECKPOINTS)}
    return tuple(Series(label, "long-sequence", editor, parameters=parameters) for label, editor in editors.items())


def _labelled(editors: Mapping[str, str], data: str, facts: str) -> tuple[Series, ...]:
    parameters = {"facts": facts, "n": OTHER_EDITS, "checkpoints": list(OTHER_CHECKPOINTS)}
    return tuple(
        Series(f"{label}, {data}", "long-sequence", editor, parameters=parameters) for label, editor in editors.items()
    )


def _table_3_series() -> tuple[Series, ...]:
    five = {label: editor for label, editor in SIX.items() if label != "PMET"}
    counterfact = tuple(replace(one, label=f"{one.label}, {COUNTERFACT}") for one in _sequences(five))
    returning = _labelled({"MEMIT": "memit", "D4S": "d4s"}, RETURNING, "returning")
    return counterfact + _labelled(five, MQUAKE, "cases") + returning


def _typed(editors: Mapping[str, str]) -> tuple[Series, ...]:
    parameters = {"n": TYPED, "checkpoints": [1, 5, 10, TYPED]}
    return tuple(Series(label, "question-types", editor, parameters=parameters) for label, editor in editors.items())


def _experiment(
    name: str, item: str, title: str, series: tuple[Series, ...], figure: Figure, claims: tuple[Claim, ...], note: str
) -> Experiment:
    return Experiment(
        name=name,
        paper="D4S",
        item=item,
        title=title,
        series=series,
        repeats=REPEATS,
        models=MODELS,
        figure=figure,
        claims=claims,
        note=note,
    )


_SCALE = f"{EDITS} single edits of distinct subjects; the paper makes 1,000 and 10,000."
_CHOICE = (
    "Downstream stands for multiple choice over facts that are not edited; docs/downstream.md has the paper's tasks."
)
_TYPES = (
    f"{TYPED} edits of the same facts, asked in three ways. The paper's data sets of figure 2 are told apart by their "
    "targets: entities and events (generated) and 0/1 (20Q)."
)

D4S: tuple[Experiment, ...] = (
    _experiment(
        "d4s-figure-2",
        "figure 2",
        "What edits of different kinds of targets do to the model",
        _typed(_MOVES),
        Figure("lines", ("CHOICE", "PPL"), "edits"),
        FIGURE_2,
        _TYPES,
    ),
    _experiment(
        "d4s-figure-3",
        "figure 3",
        "ROME with three types of questions: what the model still knows, and its norm",
        _typed({"ROME": "rome"}),
        Figure("lines", ("CHOICE", "L1 growth", "EM"), "edits"),
        FIGURE_3,
        _TYPES,
    ),
    _experiment(
        "d4s-figure-4",
        "figure 4",
        "All edits so far, asked again; and each block of edits after the last",
        _sequences({"ROME": "rome", "MEMIT": "memit"}),
        Figure("lines", ("EM",), "edits", ("overall", "kept")),
        FIGURE_4,
        _SCALE,
    ),
    _experiment(
        "d4s-figure-5",
        "figure 5",
        "Probability of each object right after its edit, and the norm of the edited layers",
        _sequences({"ROME": "rome", "MEMIT": "memit"}),
        Figure("lines", ("probability", "L1 growth"), "edits", ("each", "overall")),
        FIGURE_5,
        f"{_SCALE} L1 growth is the mean absolute entry over that of the unedited weights.",
    ),
    _experiment(
        "d4s-figure-6",
        "figure 6",
        "Norm of the weights and downstream performance over the sequence",
        _sequences({"MEMIT": "memit", "D4S": "d4s"}),
        Figure("lines", ("L1 growth", "CHOICE"), "edits", ("overall",)),
        FIGURE_6,
        f"{_SCALE} {_CHOICE}",
    ),
    _experiment(
        "d4s-figure-8",
        "figure 8",
        "Efficacy, paraphrase and specificity over all edits so far",
        _sequences(SIX),
        Figure("lines", ("EM", "PAR", "SPE"), "edits", ("overall",)),
        FIGURE_8,
        _SCALE,
    ),
    _experiment(
        "d4s-table-2",
        "table 2",
        "Efficacy, paraphrase and specificity after sequences of three lengths",
        _sequences(SIX),
        Figure("lines", ("EM", "PAR", "SPE"), "edits", ("overall",), (20, 100, EDITS)),
        TABLE_2,
        f"{_SCALE} 20, 100 and 200 edits stand for 100, 500 and 1,000.",
    ),
    _experiment(
        "d4s-table-3",
        "table 3",
        "Other data: CounterFact, MQuAKE, and subjects that return",
        _table_3_series(),
        Figure("bars", ("EM", "PAR", "SPE"), "edits", ("overall",), (OTHER_EDITS, EDITS)),
        TABLE_3,
        f"CounterFact: the tiny world's facts are of its form, so these are the sequences of table 2. MQuAKE: "
        f"{OTHER_EDITS} edits in cases of two facts, of one subject each, since the tiny world has no chains. "
        f"Returning: {OTHER_EDITS} edits, three rounds over a third as many subjects.",
    ),
    _experiment(
        "d4s-table-4",
        "table 4",
        "Downstream performance before and after",
        _sequences({"D4S": "d4s"}),
        Figure("lines", ("CHOICE", "PPL"), "edits", ("overall",)),
        TABLE_4,
        f"{_SCALE} {_CHOICE}",
    ),
)
