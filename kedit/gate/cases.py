# SPDX-License-Identifier: Apache-2.0
"""Which editors are judged on which models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from kedit.gate.options import GateOptions
from kedit.paths import model_folder, tiny_models

if TYPE_CHECKING:
    from kedit.gate.candidates import Candidate

__all__ = ["Case", "cases", "full_cases", "is_quick"]

# Without --editor and --model every reference editor meets one model, so that the whole suite stays cheap.
_COMMON_MODEL = "tiny-gpt2"
# ... and only the editors that thresholds are measured with meet the long properties.
_WHOLE = ("rome", "memit", "memit-merge", "d4s")
# A quick run judges a learned and a rotary position encoding, a transposed and a plain weight, with and without a gate.
_QUICK_MODELS = ("tiny-gpt2", "tiny-llama")


@dataclass(frozen=True, slots=True, order=True)
class Case:
    """One editor on one model: `editor` as on the command line, `model` a name for display, `folder` its files.

    `real` models were trained on the real world; `large` ones have the marker `gpu_large`.
    """

    editor: str
    model: str
    folder: str
    real: bool = False
    large: bool = False

    def __str__(self) -> str:
        return f"{self.editor}@{self.model}"


def cases(options: GateOptions, builtin: Sequence[str]) -> tuple[Case, ...]:
    """Editor by model, in a fixed order.

    Raises:
        pytest.UsageError: an unknown model, or two models with one name.
    """
    folders: dict[str, str] = {}
    default = [name for name in tiny_models() if not options.quick or name in _QUICK_MODELS]
    for name in options.models or default:
        try:
            folder = model_folder(name)
        except FileNotFoundError as error:
            raise pytest.UsageError(f"--model {error}") from error
        if folders.setdefault(folder.name, str(folder)) != str(folder):
            raise pytest.UsageError(f"--model {name}: another model is called {folder.name} too; rename one folder")
    if not folders:
        raise pytest.UsageError("kedit's fixtures hold no tiny model; name one with --model")
    if not options.editors and not options.models and _COMMON_MODEL in folders:
        folders = {_COMMON_MODEL: folders[_COMMON_MODEL]}
    return tuple(Case(editor, model, folders[model]) for editor in options.editors or builtin for model in folders)


def full_cases(options: GateOptions, found: Sequence[Candidate]) -> tuple[Case, ...]:
    """Model by editor, those that are at hand, so that each model is loaded once; without --editor the editors that
    thresholds are measured with."""
    return tuple(
        Case(editor, one.name, one.source, one.real, one.large)
        for one in found
        if not one.missing
        for editor in options.editors or _WHOLE
    )


def is_quick(options: GateOptions, editor: str) -> bool:
    """Whether an editor is judged without the long properties."""
    return options.quick or (not options.editors and not options.models and editor not in _WHOLE)
