# SPDX-License-Identifier: Apache-2.0
"""The full models that a method must be seen on, and their published configurations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING

from kedit.models.architectures import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

__all__ = ["FULL_MODELS", "FullModel", "configuration"]


@dataclass(frozen=True, slots=True)
class FullModel:
    """One full model.

    Attributes:
        name: how kedit calls it; it decides nothing about how the model is edited.
        hub_id: `ORG/NAME` on the Hugging Face hub.
        large: it has five thousand million parameters or more.
    """

    name: str
    hub_id: str
    large: bool


FULL_MODELS: Mapping[str, FullModel] = MappingProxyType(
    {
        row.name: row
        for row in (
            FullModel("gpt2-xl", "openai-community/gpt2-xl", large=False),
            FullModel("gpt-j-6b", "EleutherAI/gpt-j-6b", large=True),
            FullModel("llama-2-7b", "meta-llama/Llama-2-7b-hf", large=True),
            FullModel("llama-3-8b-instruct", "meta-llama/Meta-Llama-3-8B-Instruct", large=True),
            FullModel("qwen2.5-1.5b-instruct", "Qwen/Qwen2.5-1.5B-Instruct", large=False),
            FullModel("qwen2.5-7b-instruct", "Qwen/Qwen2.5-7B-Instruct", large=True),
        )
    }
)


def configuration(name: str) -> PreTrainedConfig:
    """A fresh configuration of a full model, of the packaged facts of its published `config.json`.

    Raises:
        ModelError: no such full model.
    """
    from transformers import AutoConfig

    if name not in FULL_MODELS:
        raise ModelError(f"{name!r} is no full model of kedit; take one of {', '.join(FULL_MODELS)}")
    file = resources.files("kedit.models") / "configurations" / f"{name}.json"
    facts = json.loads(file.read_text(encoding="utf-8"))
    return AutoConfig.for_model(facts.pop("model_type"), **facts)
