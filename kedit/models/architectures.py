# SPDX-License-Identifier: Apache-2.0
"""One table, a row a family: where the parts of an editable transformer are.

The row is chosen by `config.model_type`, which the checkpoint itself declares, never by a name or a path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["ARCHITECTURES", "Architecture", "ModelError", "architecture_of"]


class ModelError(ValueError):
    """A model that cannot be edited; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """Module paths of one family.

    Attributes:
        family: `config.model_type`.
        blocks: path of the list of transformer blocks.
        down: path of the MLP down-projection inside a block; it maps keys `(f,)` to values `(d,)`.
        norm: path of the final norm.
        attention: path of the attention inside a block; it adds its output `(d,)` to the residual stream.
        rotary: path of the module that makes position embeddings for every block, or None.
        up: paths of the MLP projections before the down-projection inside a block; they read `(d,)` and give `(f,)`.

    In every row the block adds the MLP's output to the residual stream unscaled, so a vector added to the MLP's
    output and one added to the block's output are the same thing.
    """

    family: str
    blocks: str
    down: str
    norm: str
    attention: str
    rotary: str | None = None
    up: tuple[str, ...] = field(kw_only=True)


def _llama_like(family: str) -> Architecture:
    up = ("mlp.gate_proj", "mlp.up_proj")
    return Architecture(family, "model.layers", "mlp.down_proj", "model.norm", "self_attn", "model.rotary_emb", up=up)


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        row.family: row
        for row in (
            Architecture("gpt2", "transformer.h", "mlp.c_proj", "transformer.ln_f", "attn", up=("mlp.c_fc",)),
            Architecture("gptj", "transformer.h", "mlp.fc_out", "transformer.ln_f", "attn", up=("mlp.fc_in",)),
            Architecture(
                "gpt_neox",
                "gpt_neox.layers",
                "mlp.dense_4h_to_h",
                "gpt_neox.final_layer_norm",
                "attention",
                "gpt_neox.rotary_emb",
                up=("mlp.dense_h_to_4h",),
            ),
            _llama_like("llama"),
            _llama_like("mistral"),
            _llama_like("qwen2"),
            _llama_like("gemma"),
        )
    }
)


def architecture_of(model_type: str) -> Architecture:
    """The row of a family.

    Raises:
        ModelError: the table has no such row.
    """
    if model_type not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise ModelError(
            f"model family {model_type!r} has no row in the architecture table (known: {known}); "
            "add one to kedit/models/architectures.py"
        )
    return ARCHITECTURES[model_type]
