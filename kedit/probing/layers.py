# SPDX-License-Identifier: Apache-2.0
"""Which layers to edit, from where a fact is read and where keys are a subject's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kedit.editors.settings import preset_of
from kedit.models.language_model import LanguageModel
from kedit.probing.findings import layer_text
from kedit.probing.key_equality import LayerKeys
from kedit.probing.tracing import ROLES, Tracing

__all__ = ["DECISIVE", "EDITOR", "Recommendation", "preset_layers", "recommend", "snippet"]

# Share of its greatest effect that the subject's hidden state keeps until the last token has read it.
DECISIVE = 0.9
# One layer in six, two at least and five at most: MEMIT edits 5 of 48, 6 of 28 and 5 of 32.
LAYER_SHARE, FEWEST, MOST = 6, 2, 5
# Less of the object's probability than this, under noise, is nothing to trace.
LEAST_TOTAL = 0.02
LAST_SUBJECT = ROLES[2]
# The editor whose preset layers stand beside the recommended ones.
EDITOR = "memit"
# For a model that has no preset: published ridges lie between 0.8 (Qwen2.5-7B) and 3.1 (GPT-2 XL).
RIDGE = 1.0


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Layers to edit.

    Attributes:
        layers: those for editors of several layers; the last is the one for editors of one. None where none are found.
        reasons: how they came about, a line each.
    """

    layers: tuple[int, ...] | None
    reasons: tuple[str, ...]


def recommend(model: LanguageModel, tracing: Tracing, keys: Sequence[LayerKeys]) -> Recommendation:
    """The recommended layers among those traced.

    They end at the last layer whose hidden state at the subject's last token, restored by itself, still has `DECISIVE`
    of the greatest effect of any layer: above it the last token has begun to read the subject, and what an MLP writes
    there is read by fewer blocks. Every MLP below adds to that state; the range begins one layer in six before its end
    (at least two layers, at most five), and not where two subjects have one key, nor below the layers traced.
    """
    states, outputs = tracing.at("block", LAST_SUBJECT), tracing.at("value", LAST_SUBJECT)
    greatest = max(states)
    if tracing.total < LEAST_TOTAL or not greatest > 0:
        why = (
            f"the noise takes {tracing.total:.3f} of the objects' probability and the subject's last token gives back "
            f"at most {greatest:.3f}: no layer is decisive, so none is recommended"
        )
        return Recommendation(None, (why,))
    end = max(i for i, value in enumerate(states) if value >= DECISIVE * greatest)
    count = min(MOST, max(FEWEST, round(model.n_blocks / LAYER_SHARE)))
    shared = {one.layer for one in keys if not one.own}
    chosen = [layer for layer in tracing.layers[max(0, end - count + 1) : end + 1] if layer not in shared]
    last, peak = tracing.layers[end], tracing.layers[outputs.index(max(outputs))]
    state = f"at least {DECISIVE:.0%} of its greatest effect ({greatest:.3f}) up to layer {last}"
    reasons = [
        f"the hidden state at the subject's last token has {state}",
        f"the MLP's effect there is greatest at layer {peak} ({max(outputs):.3f}), {outputs[end]:.3f} at {last}",
    ]
    if shared:
        reasons.append(f"two subjects have one key at {layer_text(sorted(shared))}, which is left out")
    if not chosen:
        return Recommendation(None, (*reasons, "that leaves no layer, so none is recommended"))
    return Recommendation(tuple(chosen), tuple(reasons))


def preset_layers(model: LanguageModel, editor: str = EDITOR) -> tuple[int, ...] | None:
    """The layers of an editor's preset for this kind of model, or None."""
    layers = preset_of(editor, model).get("layers")
    return None if layers is None else tuple(layers)


def snippet(model: LanguageModel, layers: Sequence[int]) -> str:
    """Settings as TOML for `--editor-config`, for editors of several layers; a comment says what those of one take."""
    lines = [
        f"# {model.architecture.family}, {model.n_blocks} blocks: memit, memit-merge, pmet, d4s, alphaedit, emmet",
        f"# rome, r-rome: layer = {layers[-1]} instead",
        f"layers = [{', '.join(map(str, layers))}]",
    ]
    if preset_layers(model) is None:
        lines.append(
            f"ridge = {RIDGE}  # no preset for such a model; lambda / {model.f}, published 0.8 to 3.1; not for "
            "alphaedit, emmet"
        )
    return "\n".join(lines)
