# SPDX-License-Identifier: Apache-2.0
"""The error of sessions."""

from __future__ import annotations

__all__ = ["SessionError"]


class SessionError(ValueError):
    """A session that cannot do, store or read what was asked; the message names the file or field and the mend."""
