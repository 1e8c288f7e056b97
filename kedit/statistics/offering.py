# SPDX-License-Identifier: Apache-2.0
"""Collections where editors look for them: each in a folder of its own below `store.home_of`."""

from __future__ import annotations

import hashlib
import os
import shutil
from functools import partial
from pathlib import Path

from kedit.files import write_atomically
from kedit.statistics.errors import StatisticsError
from kedit.statistics.shards import Plan, read_shard, shard_files
from kedit.statistics.store import home_of, layer_file, metadata_of

__all__ = ["default_folder", "offer"]


def default_folder(plan: Plan, cache: Path) -> Path:
    """Where a collection lies for which no folder is named."""
    rest = f"{plan.revision} {plan.layers} {plan.shards} {plan.limit}"
    name = f"{plan.corpus}-{plan.tokens}-{hashlib.sha256(rest.encode()).hexdigest()[:8]}"
    return home_of(plan.model, cache) / name


def offer(folder: Path, cache: Path) -> Path:
    """Put the second moments of a merged collection where editors look, as links to its files, or as copies where the
    cache is on another disk.

    Returns:
        The folder where editors find them; `folder` itself if it lies there.

    Raises:
        StatisticsError: the cache cannot be written, or a file cannot be read.
    """
    plan = read_shard(shard_files(folder)[0]).plan
    place = default_folder(plan, cache)
    if folder.resolve().parent == place.parent.resolve():
        return folder
    files = [layer_file(folder, layer) for layer in plan.layers]
    # Other texts may go by the same name.
    place = place.with_name(f"{place.name}-{metadata_of(files[0])['corpus'][:8]}")
    try:
        for file in files:
            target = place / file.name
            if not (target.is_file() and target.samefile(file)):
                write_atomically(target, partial(_link, file))
    except OSError as error:
        raise StatisticsError(
            f"the second moments are in {folder}, but cannot be put where editors look ({error}); make room there or "
            f"set KEDIT_CACHE, and run kedit statistics merge {folder}"
        ) from error
    return place


def _link(file: Path, part: Path) -> None:
    try:
        os.link(file, part)
    except OSError:  # another disk, or one that has no links
        shutil.copyfile(file, part)
