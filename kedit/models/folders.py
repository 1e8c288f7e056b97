# SPDX-License-Identifier: Apache-2.0
"""A model as a plain Hugging Face folder."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from kedit.models.architectures import ModelError
from kedit.models.placement import check_device, check_folder, device_map

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["read_folder", "write_folder"]


def read_folder(
    folder: Path, dtype: torch.dtype, device: torch.device | str
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Weights in `dtype` on a device, or spread over all there are (`auto`), and the tokenizer.

    Raises:
        ModelError: the folder, the configuration, the weights or the tokenizer are missing or damaged, the device is
            not here, or the weights are quantised or do not all fit on the devices.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} is not a model folder: it has no config.json")
    check_folder(folder)
    spread = device_map(device)
    if not spread:
        check_device(device)
    try:
        module = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True, **spread)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # a damaged file raises whatever its reader raises
        reason = f"({type(error).__name__}: {' '.join(str(error).split())})"
        if spread and not isinstance(error, OSError | SafetensorError):
            raise ModelError(
                f"{folder} cannot be spread over the devices that are here {reason}; load it in bfloat16, on more "
                "devices, or name one device"
            ) from error
        raise ModelError(
            f"{folder} cannot be loaded {reason}; a file in it is missing or damaged, copy the folder again"
        ) from error
    module.eval()
    if not spread:
        torch.nn.Module.to(module, torch.device(device))
    return module, tokenizer


def write_folder(
    folder: Path, module: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Mapping[str, str]
) -> None:
    """Write weights, tokenizer and text files (name -> content, empty ones are left out) beside `folder`, then rename.

    Raises:
        ModelError: `folder` is there and not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelError(f"{folder} is there already; choose another folder or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        module.save_pretrained(part)
        tokenizer.save_pretrained(part)
        for name, text in texts.items():
            if text:
                (part / name).write_text(text, encoding="utf-8")
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
