# SPDX-License-Identifier: Apache-2.0
"""What was asked of a folder of cells, in its file `run.json`, so that a report knows what belongs to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kedit.experiments.experiment import ExperimentError
from kedit.experiments.grid import Code, ModelEntry, Request, SourceFiles
from kedit.files import write_atomically

__all__ = ["RUN_FILE", "read_requests", "write_requests"]

RUN_FILE = "run.json"
SCHEMA = 1


def read_requests(folder: Path) -> dict[str, Request]:
    """What was asked, by the experiments' names, in the order in which it was; empty for a new folder.

    Raises:
        ExperimentError: a damaged file.
    """
    path = folder / RUN_FILE
    if not path.exists():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            raise ValueError("another schema")
        return {name: _request(one) for name, one in data["experiments"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExperimentError(
            f"{path} does not say what was asked ({type(error).__name__}: {error}); remove it and run again, measured "
            "cells stay"
        ) from error


def write_requests(folder: Path, requests: Mapping[str, Request]) -> dict[str, Request]:
    """Add to what was asked, and give all of it.

    An experiment that was asked for with the same files and sources gets the new models beside the old ones and the
    larger number of repeats; otherwise the new request takes the old one's place.

    Raises:
        ExperimentError: a damaged file, or another model of the same name was asked for before.
    """
    asked = read_requests(folder)
    for name, request in requests.items():
        asked[name] = _joined(asked[name], request) if name in asked else request
    data = {"schema": SCHEMA, "experiments": {name: asdict(request) for name, request in asked.items()}}
    text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    write_atomically(folder / RUN_FILE, lambda part: part.write_text(text, encoding="utf-8"))
    return asked


def _joined(old: Request, new: Request) -> Request:
    if (old.files, old.code) != (new.files, new.code):
        return new
    known = {entry.name: entry for entry in old.models}
    for entry in new.models:
        other = known.get(entry.name, entry)
        if other.place != entry.place and other.origin != entry.origin:
            raise ExperimentError(
                f"models {other.place} and {entry.place} are both called {entry.name!r} in tables; rename a folder or "
                "run in another one"
            )
    renewed = known | {entry.name: entry for entry in new.models}
    return replace(new, models=tuple(renewed.values()), repeats=max(old.repeats, new.repeats))


def _request(data: Any) -> Request:
    code = data["code"]
    return Request(
        models=tuple(ModelEntry(**entry) for entry in data["models"]),
        repeats=int(data["repeats"]),
        files=SourceFiles(**data["files"]),
        code=Code(**{**code, "modules": tuple(code["modules"])}),
    )
