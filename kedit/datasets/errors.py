# SPDX-License-Identifier: Apache-2.0
"""What is raised when a data set cannot be read."""

from __future__ import annotations

__all__ = ["DatasetError"]


class DatasetError(ValueError):
    """A file or a record that cannot be used; the message names the file, the record, the field and the mend."""
