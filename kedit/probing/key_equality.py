# SPDX-License-Identifier: Apache-2.0
"""Whether facts of one subject have one key at each layer, and different subjects different ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kedit.facts import Prompt
from kedit.metrics.keys import average_key_distance, nearest_cosines
from kedit.models.activations import Site
from kedit.models.interventions import watch
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import Text, collate, encode
from kedit.probing.findings import Finding, layer_text
from kedit.probing.hooks import TOLERANCE

__all__ = ["OWN_KEYS", "LayerKeys", "check_keys", "read_keys"]

# Nothing stands before the subject, so that only what follows it differs.
TEMPLATES = ("{} is", "{} was known for", "{} and all that")
MOST_SUBJECTS = 16
# Keys of different subjects nearer to each other than this cannot be told apart by an edit.
OWN_KEYS = 0.999


@dataclass(frozen=True, slots=True)
class LayerKeys:
    """Keys at the subject's last token at one layer.

    Attributes:
        same: largest AKD of one subject's keys in different sentences, in lengths of the mean key.
        different: AKD of the subjects' keys, in the same unit.
        nearest: cosine of the two subjects that are nearest to each other.
    """

    layer: int
    same: float
    different: float
    nearest: float

    @property
    def own(self) -> bool:
        """Whether different subjects have different keys."""
        return self.nearest < OWN_KEYS


def read_keys(model: LanguageModel, subjects: Sequence[str], layers: Sequence[int]) -> list[LayerKeys]:
    """Keys of whole sentences about at least two subjects; of many, those that share their last token come first."""
    chosen = _chosen(model, subjects)
    texts = [Text(Prompt.from_template(template, subject)) for template in TEMPLATES for subject in chosen]
    rows = encode(model.tokenizer, texts)
    batch = collate(rows, device=model.device)
    columns = batch.columns([row.subject_last or 0 for row in rows])
    seen, _ = watch(model, batch, [Site("key", layer) for layer in layers], columns)
    found = []
    for layer in layers:
        keys = seen[Site("key", layer)].double().cpu().view(len(TEMPLATES), len(chosen), -1)
        length = float(keys.norm(dim=-1).mean())
        same = max(average_key_distance(keys[:, i].T) for i in range(len(chosen)))
        different = average_key_distance(keys[0].T)
        found.append(LayerKeys(layer, same / length, different / length, float(nearest_cosines(keys[0].T).max())))
    return found


def _chosen(model: LanguageModel, subjects: Sequence[str]) -> list[str]:
    """At most `MOST_SUBJECTS`, first those whose last token another subject has too."""
    names = list(dict.fromkeys(subjects))
    rows = encode(model.tokenizer, [Text(Prompt("", name, "")) for name in names])
    lasts = [row.ids[row.subject_last or 0] for row in rows]
    order = sorted(
        range(len(names)), key=lambda i: (lasts.count(lasts[i]) < 2, lasts[i] if lasts.count(lasts[i]) > 1 else 0, i)
    )
    return [names[i] for i in order[:MOST_SUBJECTS]]


def check_keys(model: LanguageModel, keys: Sequence[LayerKeys]) -> list[Finding]:
    """Findings on equal keys of one subject and different keys of different ones."""
    allowed = TOLERANCE.get(next(model.module.parameters()).dtype, 1e-1)
    layers = [one.layer for one in keys]
    apart = [one.layer for one in keys if not one.same <= allowed]
    worst = max(one.same for one in keys)
    told = f"largest distance {worst:.1e} of a key's length"
    if apart:
        first = Finding(
            "one subject, one key",
            "problem",
            f"facts of one subject have different keys at {layer_text(apart)} ({told}): attention is not causal, or "
            "the subject's last token depends on what follows",
        )
    else:
        first = Finding(
            "one subject, one key", "ok", f"facts of one subject have one key at {layer_text(layers)} ({told})"
        )
    alike = [one.layer for one in keys if not one.own]
    nearest = max(one.nearest for one in keys)
    if alike:
        second = Finding(
            "keys of different subjects",
            "note",
            f"two subjects have nearly one key at {layer_text(alike)} (cosine {nearest:.4f}): an edit of one there is "
            "an edit of the other; edit above",
        )
    else:
        second = Finding(
            "keys of different subjects", "ok", f"they differ at {layer_text(layers)} (nearest cosine {nearest:.3f})"
        )
    return [first, second]
