# SPDX-License-Identifier: Apache-2.0
"""Where collected second moments lie: a folder a collection, a file a layer.

In kedit's cache: `collected/<16 digits of the model's origin>/<corpus>-<tokens>-<8 digits>/layer-<n>.safetensors`.
"""

from __future__ import annotations

import re
from pathlib import Path

from safetensors import SafetensorError, safe_open

from kedit.statistics.errors import StatisticsError

__all__ = ["collected_files", "home_of", "layer_file", "layers_in", "metadata_of"]

_LAYER = re.compile(r"layer-(\d+)\.safetensors")


def home_of(origin: str, cache: Path) -> Path:
    """The folder of all collections for the model of this origin."""
    return cache / "collected" / origin[:16]


def layer_file(folder: Path, layer: int) -> Path:
    """The file of one layer in a collection."""
    return folder / f"layer-{layer}.safetensors"


def layers_in(folder: Path) -> dict[int, Path]:
    """Layer -> its file in one collection."""
    named = [(found, path) for path in folder.glob("layer-*.safetensors") if (found := _LAYER.fullmatch(path.name))]
    return {int(found[1]): path for found, path in sorted(named, key=lambda pair: int(pair[0][1]))}


def collected_files(folder: Path) -> dict[int, Path]:
    """Layer -> its file in a collection, or in the one of most tokens of a folder of collections.

    A file that cannot be read is taken where no other has the layer; whoever loads it is told what is wrong with it.
    """
    best: dict[int, tuple[int, Path]] = {}
    for collection in [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]:
        for layer, path in layers_in(collection).items():
            try:
                tokens = metadata_of(path).get("tokens", "")
                count = int(tokens) if tokens.isdigit() else 0
            except StatisticsError:
                count = -1
            if layer not in best or count > best[layer][0]:
                best[layer] = count, path
    return {layer: path for layer, (_, path) in best.items()}


def metadata_of(path: Path) -> dict[str, str]:
    """The words in the head of a safetensors file.

    Raises:
        StatisticsError: it cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise StatisticsError(f"{path} is damaged ({error}); delete it and collect again") from error
