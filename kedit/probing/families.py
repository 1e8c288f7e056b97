# SPDX-License-Identifier: Apache-2.0
"""The row of a model's family, or what is needed to write one; read off the configuration, without weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from kedit.models.architectures import ARCHITECTURES, Architecture, ModelError

__all__ = ["row_of"]


def row_of(folder: Path) -> Architecture:
    """The row of the architecture table for a model folder, with every path of it found in the model.

    Raises:
        ModelError: the family has no row (the message lists what a row names and what the model has), a path of the
            row is not in the model, or the configuration is damaged.
    """
    family = _family(folder)
    if family in ARCHITECTURES:
        _check_paths(folder, ARCHITECTURES[family])
        return ARCHITECTURES[family]
    known = ", ".join(sorted(ARCHITECTURES))
    raise ModelError(
        f"model family {family!r} has no row in the architecture table (known: {known}); add one to "
        "kedit/models/architectures.py that names `blocks`, the list of transformer blocks, `down`, the linear map of "
        "a block's MLP that gives what is added to the residual stream, `up`, those before it, `attention`, `norm`, "
        f"the final norm, and `rotary` if the model shares position embeddings; {_seen(folder)}"
    )


def _family(folder: Path) -> str:
    path = folder / "config.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} names no model_type ({type(error).__name__}: {error}); copy the folder again"
        ) from error


def _skeleton(folder: Path) -> nn.Module:
    """The model without weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    with torch.device("meta"):
        module: nn.Module = AutoModelForCausalLM.from_config(config)
    return module


def _check_paths(folder: Path, row: Architecture) -> None:
    try:
        module = _skeleton(folder)
    except Exception as error:  # a damaged configuration raises whatever its reader raises
        reason = " ".join(str(error).split())
        raise ModelError(
            f"no model can be made of {folder / 'config.json'} ({type(error).__name__}: {reason}); "
            "copy the folder again"
        ) from error
    inside = [(name, f"{row.blocks}.0.{name}") for name in (row.down, row.attention, *row.up)]
    top = [(name, name) for name in (row.blocks, row.norm, *([row.rotary] if row.rotary else []))]
    for name, path in (*top, *inside):
        try:
            module.get_submodule(path)
        except AttributeError as error:
            raise ModelError(
                f"the row of family {row.family!r} names {name!r}, and {folder.name} has no module {path!r}; mend the "
                f"row in kedit/models/architectures.py; {_parts(module)}"
            ) from error


def _seen(folder: Path) -> str:
    try:
        return _parts(_skeleton(folder))
    except Exception as error:  # transformers does not know the family, or a configuration lacks something
        return f"transformers cannot build the model to look inside ({type(error).__name__})"


def _parts(module: nn.Module) -> str:
    """The longest list of modules and the linear maps in one of its blocks."""
    lists = [(len(one), name, one) for name, one in module.named_modules() if isinstance(one, nn.ModuleList)]
    if not lists:
        return "the model has no list of blocks"
    n, name, blocks = max(lists, key=lambda found: found[0])
    maps = ", ".join(f"{path} {tuple(weight.shape)}" for path, weight in _weights(blocks[0]))
    return f"the model has {n} blocks at {name!r}, each with the weights {maps}"


def _weights(block: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    return ((name.removesuffix(".weight"), weight) for name, weight in block.named_parameters() if weight.ndim >= 2)
