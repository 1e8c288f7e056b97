# SPDX-License-Identifier: Apache-2.0
"""Reports made by hand, with every kind of row and of series."""

from __future__ import annotations

from typing import Any

from kedit.gate.report import FIRST_EDIT, KEY_COSINE, SAME_SUBJECT, SEQUENCE, Report, Series
from kedit.gate.results import Result, Status, sort_key, verdict

MODELS = ("tiny-gpt2", "tiny-llama")
SAME, HOMOGENEOUS = "perturbation.same-subject-batch", "perturbation.homogeneous-sequence"


def row(
    property_id: str,
    metric: str,
    measured: float | None,
    threshold: float,
    status: Status = "passed",
    *,
    model: str = MODELS[0],
    bound: str = ">=",
    reason: str = "",
    **more: Any,
) -> Result:
    told = {"unit": "share of facts", "source": "a paper, table 1", "basis": "sides", "margin": 0.05}
    fields = {name: more.pop(name, value) for name, value in told.items()}
    parameters = {**more, "metric": metric}
    return Result(property_id, model, parameters, measured, threshold, status, reason, 0.5, bound, **fields)


def skipped(property_id: str, model: str = MODELS[0], reason: str = "not applicable: it has no tag history") -> Result:
    return Result(property_id, model, {}, None, None, "skipped", reason, 0.0)


def rows(model: str) -> list[Result]:
    exact = {"basis": "exact", "unit": "aspects that differ", "source": "exact requirement", "margin": 0.0}
    known = "later edits of a subject overwrite earlier ones"
    return [
        row("contract.pure-edit", "changed_aspects", 0.0, 0.0, bound="<=", model=model, **exact),
        row("contract.pure-edit", "changed_aspects", 0.0, 0.0, bound="<=", model=model, **exact),
        row("efficacy.single", "ES", 0.97, 0.85, model=model),
        row("locality.perplexity", "perplexity_ratio", 1.04, 1.2, bound="<=", unit="ratio", model=model),
        skipped("mechanism.history-bound", model),
        row(HOMOGENEOUS, "probability_gap", -0.62, -0.2, "xfailed", edits=8, reason=known, model=model),
        *(row(SAME, "exact_match", value, 0.6, facts=n, model=model) for n, value in ((2, 0.97), (8, 0.9))),
    ]


def series(model: str) -> list[Series]:
    def mean(value: float) -> dict[str, float]:
        return {"mean": value, "error": 0.04, "n": 6}

    def one(name: str, data: dict[str, Any]) -> Series:
        return Series(name, SAME, model, {}, data)

    sequence = {"known": [[50, 0.98], [100, 0.95]], "relative_change": [[50, 1.5], [100, 2.7]]}
    scores = {2: 0.97, 4: 0.95, 8: 0.9, 12: 0.8}
    return [
        *(
            one(SAME_SUBJECT, {"facts": n, "same": {"exact_match": mean(em)}, "distinct": {"exact_match": mean(0.98)}})
            for n, em in scores.items()
        ),
        *(
            one(
                FIRST_EDIT,
                {"edits": n, "score": "probability", "same": mean(p), "distinct": mean(0.8), "gap": mean(p - 0.8)},
            )
            for n, p in ((1, 0.85), (2, 0.6), (8, 0.2))
        ),
        one(SEQUENCE, {"window": 50, "after_each": [1.0, 1.0], "after_all": [0.9, 1.0]} | sequence),
        one(KEY_COSINE, {"facts": 8, "same": [[1.0, 0.8]], "distinct": [[0.2, 0.9], [0.4, 0.7]]}),
    ]


def report(*more: Result, editor: str = "memit-merge", models: tuple[str, ...] = MODELS, **fields: Any) -> Report:
    """A report with known failures; `more` rows go beside them."""
    results = sorted([*(one for model in models for one in rows(model)), *more], key=sort_key)
    told = {"fingerprint": "4de82a76225084bf", "dtype": "float32", "device": "cpu"}
    given = {
        "verdict": verdict(editor, results, {one.property for one in results}),
        "series": tuple(one for model in models for one in series(model)),
        "models": dict.fromkeys(models, told),
        "about": {"efficacy.single": ("An edit of one fact takes (a paper, section 3).",)},
        "tags": ("batch", "keyed"),
        "versions": {"python": "3.11.7", "kedit": "0.1.0", "torch": "2.13.0"},
    }
    return Report(editor=editor, results=tuple(results), **given | fields)
