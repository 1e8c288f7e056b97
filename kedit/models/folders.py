# SPDX-License-Identifier: Apache-2.0
"""A model as a plain Hugging Face folder."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kedit.models.architectures import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["write_folder"]


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
