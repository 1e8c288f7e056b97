# SPDX-License-Identifier: Apache-2.0
"""What every command on a session needs: its answer, and the model and session it works on."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kedit.facts import Fact
from kedit.models.language_model import LanguageModel
from kedit.models.memory import check_memory, memory_needed
from kedit.models.placement import check_device, check_folder
from kedit.models.weights import locate_model
from kedit.sessions import EditSession, SessionError, read_history
from kedit.sessions.folders import Manifest, read_manifest

__all__ = [
    "Answer",
    "fact_data",
    "fact_line",
    "json_data",
    "load_model",
    "load_session",
    "model_of",
    "plural",
    "session_facts",
]


@dataclass(frozen=True)
class Answer:
    """What a command has to say.

    Attributes:
        data: for `--json`.
        lines: for people.
        failure: what went wrong after all, for stderr and exit status 1.
    """

    data: dict[str, Any]
    lines: Sequence[str]
    failure: str = ""


def load_model(name: str, dtype: str = "float32", device: str = "cpu") -> LanguageModel:
    """A model by what the user calls it.

    Raises:
        FileNotFoundError: as `locate_model`, like MissingWeights.
        OutOfMemory: its weights do not fit; none was read.
        ModelError: the device is not here, or the model cannot be loaded.
    """
    shown = None if Path(name).expanduser().is_dir() else Path(name).name  # a snapshot of the Hub is called by a hash
    folder, numbers = locate_model(name), getattr(torch, dtype)
    _check_room(folder, numbers, device, shown or folder.name)
    return LanguageModel.from_pretrained(folder, dtype=numbers, device=device, name=shown)


def _check_room(folder: Path, dtype: torch.dtype, device: str, name: str) -> None:
    """Whether the weights fit; what else a command needs depends on the editor, and is not refused here."""
    from transformers import AutoConfig

    if device != "auto":
        check_device(device)
    check_folder(folder)
    try:
        configuration = AutoConfig.from_pretrained(folder, local_files_only=True)
        need = memory_needed(configuration, dtype, layers=0, tokens=0, statistics=False)
    except Exception:  # a damaged configuration raises whatever its reader raises; the loader says what is wrong
        return
    # Where there is no CUDA device, the whole model is on the host.
    check_memory(need, "cpu" if device == "auto" and not torch.cuda.is_available() else device, name=name)


def model_of(manifest: Manifest, options: Namespace) -> LanguageModel:
    """The unedited model of a session, or the one that `--model` names.

    Raises:
        SessionError: the session does not know its model, and none is named.
    """
    name = options.model or manifest.source
    if name is None:
        raise SessionError(f"the session {options.session} does not know the folder of its model; give --model")
    return load_model(name, manifest.dtype)


def load_session(options: Namespace) -> EditSession:
    """The session of a command on its model."""
    manifest, _ = read_manifest(Path(options.session))
    return EditSession.load(options.session, model_of(manifest, options))


def session_facts(folder: str | Path) -> tuple[list[Fact], int]:
    """The facts a stored session holds now, the last of each prompt, and how many earlier ones they superseded."""
    _, history = read_history(folder)
    facts = [fact for entry in history for fact in entry.facts]
    last = {fact.prompt.text: fact for fact in facts}
    return list(last.values()), len(facts) - len(last)


def fact_data(fact: Fact) -> dict[str, str]:
    """A fact for `--json`."""
    told = {"prompt": fact.prompt.text, "subject": fact.subject, "target": fact.target, "true": fact.true}
    return told | ({"id": fact.id} if fact.id else {})


def fact_line(fact: Fact) -> str:
    """A fact for people."""
    return f"{fact.prompt.text} -> {fact.target}" + (f" (was {fact.true})" if fact.true else "")


def json_data(value: Any) -> Any:
    """`value` as JSON can hold it; what JSON has no word for, such as a NaN in the notes of an editor, as its text."""
    if isinstance(value, Mapping):
        return {str(key): json_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_data(item) for item in value]
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)


def plural(n: int, what: str) -> str:
    """`1 fact`, `2 facts`."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
