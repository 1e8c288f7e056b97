# SPDX-License-Identifier: Apache-2.0
"""Full models that a run asks for: which of them are at hand, why the others are not, and how one is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kedit.gate.full_options import FullOptions
from kedit.models.architectures import ModelError
from kedit.models.full_models import FULL_MODELS, configuration
from kedit.paths import model_folder
from kedit.worlds.cards import CARD

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from kedit.models.language_model import LanguageModel
    from kedit.models.memory import MemoryNeed

__all__ = ["Candidate", "candidates", "load", "too_large", "with_sums"]

# Parameters from which on a model is a large one.
LARGE = 5e9
# As many as an editor of several layers edits at most in the published configurations.
EDITED_LAYERS = 6
TOKENS_PER_KEY_DIMENSION = 10
# Twins share weights, but a model that was written to a folder and read again does not, nor one whose hidden units
# are in another order.
MODELS_AT_ONCE = 2
# Second moments of the unedited model, of a twin, and where a corpus can be measured anew of one with other weights.
SESSIONS_AT_ONCE, WITH_CORPUS = 2, 3
# Of a model that is edited, two copies of it, and what undo needs, each has edited matrices of its own.
EDITED_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that was asked for.

    Attributes:
        name: for display.
        source: its folder; a name or an id if its weights are not at hand.
        large: whether it has the marker `gpu_large`.
        real: whether it was trained on the real world, and not on the tiny one.
        dtype: of its weights.
        missing: why it cannot be judged here; empty if it can.
    """

    name: str
    source: str
    large: bool
    real: bool
    dtype: str
    missing: str = ""


def candidates(models: Sequence[str], full: FullOptions) -> tuple[Candidate, ...]:
    """The models of a run, in the order given; all built-in full models if none is named.

    Raises:
        pytest.UsageError: a model that is neither built in, nor a folder, nor the id of a model on the Hub; two models
            of one name; a folder of which no editable model can be made.
    """
    found = [_candidate(name, full) for name in models or FULL_MODELS]
    for part in ("name", "source"):
        values = [getattr(one, part) for one in found]
        for value in values:
            if values.count(value) > 1:
                raise pytest.UsageError(f"--model: two models have the {part} {value}; rename one, or name it once")
    return tuple(found)


def _candidate(asked: str, full: FullOptions) -> Candidate:
    from kedit.models.weights import MissingWeights, find_weights

    asked = next((name for name, one in FULL_MODELS.items() if one.hub_id == asked), asked)
    known, folder, missing = FULL_MODELS.get(asked), _folder(asked), []
    if not full.random_weights:
        try:
            folder = find_weights(str(folder or asked))
        except MissingWeights as error:
            missing.append(str(error))
    if folder is None and known is None:
        if full.random_weights or "/" not in asked:
            raise pytest.UsageError(
                f"--model {asked}: neither one of {', '.join(FULL_MODELS)} nor a folder with a config.json"
                + ("" if full.random_weights else " nor an id like ORG/NAME")
            )
        return Candidate(asked, asked, large=False, real=True, dtype="", missing="; ".join(missing))
    name = asked if known else Path(asked).name
    config = _configuration(asked, folder)
    large = known.large if known else _parameters(config) >= LARGE
    dtype = full.dtype or ("bfloat16" if large and full.device != "cpu" else "float32")
    missing += _wrong_with_device(full.device)
    if not missing:
        missing += _wrong_with_memory(name, config, dtype, full)
    real = folder is None or not (folder / CARD).is_file()
    return Candidate(name, str(folder or asked), large, real, dtype, "; ".join(missing))


def _folder(asked: str) -> Path | None:
    try:
        return model_folder(asked)
    except FileNotFoundError:
        return None


def _configuration(asked: str, folder: Path | None) -> PreTrainedConfig:
    if folder is None:
        return configuration(asked)
    from transformers import AutoConfig

    try:
        found: PreTrainedConfig = AutoConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # a damaged file raises whatever its reader raises
        raise pytest.UsageError(f"--model {asked}: its config.json cannot be used ({error})") from error
    return found


def _parameters(config: PreTrainedConfig) -> float:
    from kedit.models.memory import parameter_count

    try:
        return parameter_count(config)
    except Exception as error:  # an architecture that transformers does not know
        raise pytest.UsageError(f"--model: no model can be made of the configuration ({error})") from error


def _wrong_with_device(device: str) -> list[str]:
    from kedit.models.placement import check_device

    try:
        check_device(device)
    except ModelError as error:
        return [str(error)]
    return []


def _wrong_with_memory(name: str, config: PreTrainedConfig, dtype: str, full: FullOptions) -> list[str]:
    import torch

    from kedit.models.memory import memory_needed

    try:
        need = memory_needed(config, getattr(torch, dtype), layers=EDITED_LAYERS)
        sessions = WITH_CORPUS if full.random_weights or full.corpus else SESSIONS_AT_ONCE
        wrong = too_large(replace(_at_once(need), moments=sessions * need.moments), full.device, name)
    except ModelError as error:
        raise pytest.UsageError(f"--model {name}: {error}") from error
    return [wrong] if wrong else []


def with_sums(model: LanguageModel) -> MemoryNeed:
    """What editing a model that is loaded takes beside it, with sums over earlier edits."""
    from kedit.models.memory import memory_needed

    need = memory_needed(model.module.config, model.weight(0).dtype, layers=EDITED_LAYERS, history=True)
    # Second moments were counted when the model was looked for, and may be at hand by now.
    return replace(_at_once(need), weights=(MODELS_AT_ONCE - 1) * need.weights, moments=0)


def too_large(need: MemoryNeed, device: str, name: str) -> str:
    """Why a need would not be met; empty if it would."""
    from kedit.models.memory import OutOfMemory, check_memory

    try:
        check_memory(need, device, name=name)
    except OutOfMemory as error:
        return str(error)
    return ""


def _at_once(need: MemoryNeed) -> MemoryNeed:
    return replace(need, weights=MODELS_AT_ONCE * need.weights, edited=EDITED_AT_ONCE * need.edited)


def load(one: Candidate, full: FullOptions) -> LanguageModel:
    """The model of a candidate that is at hand.

    Raises:
        ModelError: it cannot be loaded, or the corpus is too short to say anything.
    """
    import torch

    from kedit.models.language_model import LanguageModel
    from kedit.models.random_weights import key_size, random_model
    from kedit.models.sharing import own_storage
    from kedit.statistics.portions import beginning

    dtype: torch.dtype = getattr(torch, one.dtype)
    if full.random_weights:
        config = _configuration(one.source, _folder(one.source))
        tokens = TOKENS_PER_KEY_DIMENSION * key_size(config)
        return random_model(config, dtype=dtype, device=full.device, name=one.name, corpus_tokens=tokens)
    model = LanguageModel.from_pretrained(one.source, dtype=dtype, device=full.device, name=one.name)
    own_storage(model.module)
    if full.corpus is not None:
        with full.corpus.open(encoding="utf-8") as lines:
            texts = filter(None, map(str.strip, lines))
            model.corpus = tuple(beginning(model.tokenizer, texts, TOKENS_PER_KEY_DIMENSION * model.f))
        if not model.corpus:
            raise ModelError(f"--corpus {full.corpus}: has no texts; give a file with one text a line")
    return model
