# SPDX-License-Identifier: Apache-2.0
"""Where the weights of a model are on this machine; nothing is ever downloaded."""

from __future__ import annotations

import json
from pathlib import Path

from kedit.models.architectures import ModelError
from kedit.models.full_models import FULL_MODELS
from kedit.paths import model_folder

__all__ = ["MissingWeights", "find_weights", "locate_model"]

# The files that may hold weights, in the order in which transformers looks for them, each before its index of shards.
WEIGHTS = ("model.safetensors", "pytorch_model.bin")


class MissingWeights(ModelError):
    """Weights that are not on this machine; the message names the command that would fetch them."""


def find_weights(source: str) -> Path:
    """The folder with a model's configuration and all of its weights.

    Args:
        source: a folder, a name of `FULL_MODELS`, or a hub id `ORG/NAME`. The last two are looked up in the Hugging
            Face cache (`HF_HOME`, `HF_HUB_CACHE`), the snapshot of the main branch.

    Raises:
        MissingWeights: there are none, or not all of them.
    """
    folder = Path(source)
    if folder.is_dir():
        if lacking := _lacking(folder):
            raise MissingWeights(f"{source} is no whole model: {lacking}; copy the folder again")
        return folder
    hub_id = FULL_MODELS[source].hub_id if source in FULL_MODELS else source
    if hub_id.count("/") != 1 or hub_id.startswith((".", "/", "~")):
        raise MissingWeights(
            f"{source} is no folder, no full model of kedit ({', '.join(FULL_MODELS)}) and no hub id ORG/NAME; "
            "name one of these (hf download ORG/NAME fetches a model)"
        )
    snapshot = _snapshot(hub_id)
    lacking = "it is not in the Hugging Face cache" if snapshot is None else _lacking(snapshot)
    if snapshot is None or lacking:
        raise MissingWeights(f"no weights of {hub_id}: {lacking}; fetch them with: hf download {hub_id}")
    return snapshot


def locate_model(name: str) -> Path:
    """The folder of a model that a user names: a tiny model, a folder, a name of `FULL_MODELS`, or a hub id.

    A folder is given back as it is; whoever loads it finds out whether its weights are whole.

    Raises:
        FileNotFoundError: it is none of them.
        MissingWeights: a full model of which not all weights are here.
    """
    try:
        return model_folder(name)
    except FileNotFoundError as error:
        if name not in FULL_MODELS and (name.count("/") != 1 or name.startswith((".", "/", "~"))):
            raise FileNotFoundError(f"{error}, nor one of {', '.join(FULL_MODELS)}, nor an id ORG/NAME") from None
    return find_weights(name)


def _snapshot(hub_id: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def _lacking(folder: Path) -> str:
    """What a folder needs and does not have, or nothing. A link to a file that is gone is no file."""
    if not (folder / "config.json").is_file():
        return "config.json is missing"
    for name in WEIGHTS:
        if (folder / name).is_file():
            return ""
        index = folder / f"{name}.index.json"
        if index.is_file():
            return _missing_shards(index)
    return f"there is neither {' nor '.join(WEIGHTS)} nor an index of shards"


def _missing_shards(index: Path) -> str:
    try:
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        return f"{index.name} is damaged ({type(error).__name__})"
    missing = [shard for shard in shards if not (index.parent / shard).is_file()]
    return f"{len(missing)} of {len(shards)} shards are missing, {missing[0]} first" if missing else ""
