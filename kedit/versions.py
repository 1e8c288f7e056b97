# SPDX-License-Identifier: Apache-2.0
"""Versions that belong beside any number and into any file."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

__all__ = ["PACKAGES", "versions"]

# What a number depends on.
PACKAGES = ("kedit", "numpy", "pytest", "tokenizers", "torch", "transformers")


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python and of the given packages; `checkout` for one that is not installed."""
    found = {"python": platform.python_version()}
    for package in packages or PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "checkout"
    return found
