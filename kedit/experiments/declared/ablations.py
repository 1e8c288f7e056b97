# SPDX-License-Identifier: Apache-2.0
"""What the papers leave open: keys that know the relation, and weights that two edits share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kedit.experiments.experiment import Claim, Experiment, Figure, Quantity, Series

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
)
