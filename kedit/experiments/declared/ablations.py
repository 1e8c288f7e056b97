# SPDX-License-Identifier: Apache-2.0
"""What the papers leave open: keys that know the relation, and weights that two edits share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kedit.experiments.experiment import Claim, Direction, Experiment, Figure, Quantity, Series

__all__ = ["ABLATIONS"]

SIZES = (2, 8)
LARGEST = SIZES[-1]
MODELS = ("tiny-gpt2", "tiny-gptj", "tiny-llama", "tiny-qwen2")
LATER = [2, 3]  # where the tiny models read the subject out (causal tracing, docs/claims.md)
_EDITOR = "kedit.experiments.relation_keys:RelationKeys"
_SUBJECT = "MEMIT, subject"
_VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "relation": {"position": "relation"},
    "relation, blocks 2-3": {"position": "relation", "layers": LATER},
    "both": {"position": "both"},
    "both, blocks 2-3": {"position": "both", "layers": LATER},
}


def _series() -> tuple[Series, ...]:
    subject = [Series(_SUBJECT, "same-and-different", "memit", parameters={"mode": "batch", "n": n}) for n in SIZES]
    moved = [
        Series(label, "same-and-different", _EDITOR, config, {"mode": "batch", "n": n})
        for label, config in _VARIANTS.items()
        for n in SIZES
    ]
    return (*subject, *moved)


def _at(metric: str, label: str, arm: str) -> Quantity:
    return Quantity(metric, label, arm, LARGEST)


def _questions(label: str) -> tuple[Claim, ...]:
    return (
        Claim(
            text=f"keys at {label}: facts of one subject are edited as well as those of distinct ones",
            source="left open by S2RKE, section 7",
            direction="above",
            left=_at("EM", label, "same"),
            right=_at("EM", label, "different"),
            by=-0.1,
        ),
        *(
            Claim(
                text=f"keys at {label}: {what} of distinct subjects is not below MEMIT's",
                source="left open by S2RKE, section 7",
                direction="above",
                left=_at(metric, label, "different"),
                right=_at(metric, _SUBJECT, "different"),
                by=-0.05,
            )
            for metric, what in (("PS", "paraphrase success"), ("NS", "neighborhood success"))
        ),
    )


GROUND_MODELS = ("tiny-gptj", "tiny-llama")  # those of the D4S experiments
GROUND_EDITS = 100
_GROUNDS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "MEMIT, ridge 0.6": ("memit", {"ridge": 0.6}),
    "MEMIT, ridge 0.02": ("memit", {"ridge": 0.02}),
    "MEMIT, ridge 3": ("memit", {"ridge": 3.0}),
    "D4S, ridge 0.6": ("d4s", {"ridge": 0.6}),
    "D4S, ridge 0.02": ("d4s", {"ridge": 0.02}),
    "D4S, ridge 3": ("d4s", {"ridge": 3.0}),
    "D4S, residual recomputed": ("d4s", {"ridge": 0.6, "residual": "recomputed"}),
    "D4S, current weights": ("d4s", {"ridge": 0.6, "ground": "current"}),
    "ROME": ("rome", {}),
    "ROME, no covariance": ("rome", {"covariance": False}),
}


def _kept(text: str, left: str, right: str, metric: str, direction: Direction, by: float) -> Claim:
    return Claim(
        text=text,
        source="why D4S, figures 4 to 6 and table 2, come out otherwise here",
        direction=direction,
        left=Quantity(metric, left, "overall", GROUND_EDITS),
        right=Quantity(metric, right, "overall", GROUND_EDITS),
        by=by,
    )


_GROUND_CLAIMS = (
    _kept(
        "with the published ratio of ridge to key size D4S keeps no less than MEMIT",
        "D4S, ridge 0.6",
        "MEMIT, ridge 0.6",
        "EM",
        "above",
        -0.05,
    ),
    _kept("with a small ridge D4S keeps less than MEMIT", "D4S, ridge 0.02", "MEMIT, ridge 0.02", "EM", "below", 0.0),
    _kept("a smaller ridge costs MEMIT edits", "MEMIT, ridge 0.02", "MEMIT, ridge 0.6", "EM", "below", 0.05),
    _kept("a large ridge makes D4S's norm smaller", "D4S, ridge 3", "D4S, ridge 0.6", "L1 growth", "below", 0.0),
    _kept(
        "at the largest ridge D4S's norm is smaller than MEMIT's",
        "D4S, ridge 3",
        "MEMIT, ridge 3",
        "L1 growth",
        "below",
        0.0,
    ),
    _kept(
        "a residual that is recomputed at every layer makes D4S's norm smaller",
        "D4S, residual recomputed",
        "D4S, ridge 0.6",
        "L1 growth",
        "below",
        0.0,
    ),
    _kept(
        "values found on the current weights cost D4S edits",
        "D4S, current weights",
        "D4S, ridge 0.6",
        "EM",
        "below",
        0.05,
    ),
    _kept("without the covariance ROME loses its edits", "ROME, no covariance", "ROME", "EM", "below", 0.5),
)

ABLATIONS: tuple[Experiment, ...] = (
    Experiment(
        name="ablation-relation-keys",
        paper="kedit",
        item="ablation 1",
        title="MEMIT with keys at the subject's last token, at the relation's, or at both",
        series=_series(),
        repeats=10,
        models=MODELS,
        figure=Figure("bars", ("EM", "PS", "NS"), "facts in the batch", places=(LARGEST,)),
        claims=tuple(claim for label in _VARIANTS for claim in _questions(label)),
        note=f"Claims and figure are of {LARGEST} facts. The relation's last token is the prompt's last one. The "
        "presets' blocks are those that write at the "
        "subject; blocks 2 and 3 read it out.",
    ),
    Experiment(
        name="ablation-weight-overlap",
        paper="kedit",
        item="ablation 2",
        title="Weights that two edits move most, against their keys and against forgetting",
        series=tuple(
            Series(label, "weight-overlap", editor, parameters={"share": 0.01})
            for label, editor in {"MEMIT": "memit", "ROME": "rome", "FT": "ft", "D4S": "d4s"}.items()
        ),
        repeats=30,
        models=MODELS,
        figure=Figure("scatter", ("overlap", "forgetting")),
        claims=tuple(
            claim
            for label in ("MEMIT", "ROME", "FT", "D4S")
            for claim in (
                Claim(
                    text=f"{label}: two edits of one subject move more of the same weights",
                    source="left open by S2RKE and D4S",
                    direction="above",
                    left=Quantity("overlap", label, "same"),
                    right=Quantity("overlap", label, "different"),
                    by=0.1,
                ),
                Claim(
                    text=f"{label}: the more weights two edits share, the more the first one loses",
                    source="left open by S2RKE and D4S",
                    direction="rising",
                    left=Quantity("overlap", label),
                    right=Quantity("forgetting", label),
                    by=0.3,
                ),
                Claim(
                    text=f"{label}: the more alike the keys, the more weights are shared",
                    source="left open by S2RKE and D4S",
                    direction="rising",
                    left=Quantity("key cosine", label),
                    right=Quantity("overlap", label),
                    by=0.3,
                ),
            )
        ),
        note="The 1 % of entries that an edit moves most. The second edit of the pair is made on the edited model.",
    ),
    Experiment(
        name="ablation-d4s-ground",
        paper="kedit",
        item="ablation 3",
        title="What the length of a sequence costs: ridge, residual, base weights, covariance",
        series=tuple(
            Series(
                label,
                "long-sequence",
                editor,
                config,
                {"facts": "distinct", "n": GROUND_EDITS, "checkpoints": [50, GROUND_EDITS]},
            )
            for label, (editor, config) in _GROUNDS.items()
        ),
        repeats=5,
        models=GROUND_MODELS,
        figure=Figure("bars", ("EM", "SPE", "L1 growth"), "edits", ("overall",), (GROUND_EDITS,)),
        claims=_GROUND_CLAIMS,
        note=f"{GROUND_EDITS} single edits of distinct subjects. Ridge is lambda over the size of a key; published are "
        "0.92 (GPT-J) and 3.1 (GPT-2 XL). Most published configurations of ROME drop the covariance.",
    ),
)
