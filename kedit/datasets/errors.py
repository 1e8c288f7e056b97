# SPDX-License-Identifier: Apache-2.0
"""The error of data sets."""

from __future__ import annotations

__all__ = ["DatasetError"]


class DatasetError(ValueError):
    """Data that cannot be read, made or sampled as asked; the message names the record, the field and the mend."""
