# SPDX-License-Identifier: Apache-2.0
"""Where the files that kedit carries lie, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

__all__ = ["fixtures_dir"]


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
