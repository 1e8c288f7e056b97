# SPDX-License-Identifier: Apache-2.0
"""Trained hypernetworks as files, each bound to the model it was trained for by that model's fingerprint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from kedit.files import write_atomically
from kedit.hypernetworks.transform import HyperNetwork, HypernetworkError
from kedit.models.language_model import LanguageModel

__all__ = ["find", "load", "read_card", "save"]

FORMAT = "kedit hypernetwork 1"


def save(path: Path, network: HyperNetwork, *, origin: str, card: Mapping[str, Any]) -> None:
    """Write a trained network, whole or not at all.

    Args:
        path: the safetensors file.
        network: what was trained.
        origin: `LanguageModel.origin` of the model it was trained for.
        card: recipe, versions and measured numbers, as plain data.
    """
    shape = {"matrices": network.matrices, "rank": network.rank, "depth": network.depth}
    metadata = {"format": FORMAT, "origin": origin, "network": json.dumps(shape), "card": json.dumps(card)}
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    write_atomically(path, lambda part: save_file(tensors, part, metadata=metadata))


def find(folder: Path, origin: str) -> Path | None:
    """The file of `folder` that was trained for the model with this fingerprint; None if there is none."""
    for path in sorted(folder.glob("*.safetensors")):
        metadata = _metadata(path)
        if metadata.get("format") == FORMAT and metadata.get("origin") == origin:
            return path
    return None


def read_card(path: Path) -> dict[str, Any]:
    """What `save` was given as `card`; raises HypernetworkError for a file of another kind."""
    card: dict[str, Any] = json.loads(_checked(path)["card"])
    return card


def load(path: Path, model: LanguageModel) -> HyperNetwork:
    """The network in a file, ready to edit `model` as it is now.

    Raises:
        HypernetworkError: no such file, a damaged one, one of another kind, or one for another model.
    """
    metadata = _checked(path)
    if metadata["origin"] != model.origin:
        trained_for = json.loads(metadata["card"]).get("model", "another model")
        raise HypernetworkError(
            f"{path} was trained for {trained_for} with the fingerprint {metadata['origin'][:12]}, not for "
            f"{model.name} with {model.origin[:12]}; train weights for this model"
        )
    shape = json.loads(metadata["network"])
    matrices = {name: (rows, columns) for name, (rows, columns) in shape["matrices"].items()}
    network = HyperNetwork(matrices, rank=shape["rank"], depth=shape["depth"])
    try:
        network.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise HypernetworkError(f"{path}: damaged weights ({error}); copy or train the file again") from error
    return network.requires_grad_(False).to(model.device)


def _checked(path: Path) -> dict[str, str]:
    metadata = _metadata(path)
    if metadata.get("format") != FORMAT:
        raise HypernetworkError(f"{path} holds no weights of MEND; give a file of python -m kedit.worlds train-mend")
    return metadata


def _metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise HypernetworkError(f"{path} cannot be read ({error}); copy or train the file again") from error
