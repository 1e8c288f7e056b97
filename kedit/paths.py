# SPDX-License-Identifier: Apache-2.0
"""Where the files that kedit carries lie, in a checkout and in an installed wheel, and models by name."""

from __future__ import annotations

from pathlib import Path

__all__ = ["fixtures_dir", "model_folder", "tiny_models"]


def fixtures_dir() -> Path:
    """The folder with the tiny models and the world.

    The wheel carries it inside the package; a checkout has it beside the package, and the checkout's
    wins so that a newly trained model is seen at once.

    Raises:
        FileNotFoundError: neither place has it.
    """
    package = Path(__file__).resolve().parent
    beside, inside = package.parent / "fixtures", package / "fixtures"
    if (package.parent / "pyproject.toml").is_file() and beside.is_dir():
        return beside
    if inside.is_dir():
        return inside
    raise FileNotFoundError(f"kedit's fixtures are neither at {inside} nor at {beside}; install kedit again")


def tiny_models() -> tuple[str, ...]:
    """Names of the tiny models that kedit carries, sorted."""
    return tuple(sorted(path.parent.name for path in (fixtures_dir() / "models").glob("tiny-*/config.json")))


def model_folder(name: str) -> Path:
    """The folder of a model given by a tiny model's name or by a path.

    Raises:
        FileNotFoundError: it is neither.
    """
    if name in tiny_models():
        return fixtures_dir() / "models" / name
    folder = Path(name).expanduser()
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{name}: neither one of {', '.join(tiny_models())} nor a folder with a config.json")
    return folder.resolve()
