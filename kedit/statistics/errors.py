# SPDX-License-Identifier: Apache-2.0
"""What is raised about second moments."""

from __future__ import annotations

__all__ = ["StatisticsError"]


class StatisticsError(ValueError):
    """Second moments that are missing, damaged, of another model, or of too few tokens."""
