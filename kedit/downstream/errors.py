# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with downstream tasks."""

from __future__ import annotations

__all__ = ["DownstreamError", "missing"]


class DownstreamError(ValueError):
    """A downstream task that cannot be made, loaded or run as asked."""


def missing(error: ImportError) -> DownstreamError:
    """The error for a package of the extra that is not there."""
    return DownstreamError(
        f"downstream tasks need lm-evaluation-harness, and {error.name or error} is missing; install kedit[downstream]"
    )
