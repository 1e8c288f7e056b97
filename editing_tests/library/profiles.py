# SPDX-License-Identifier: Apache-2.0
"""How many examples Hypothesis draws: a share of what the profile says."""

from __future__ import annotations

from typing import Any

from hypothesis import settings


def drawn(share: float = 1.0, **more: Any) -> settings:
    """Settings of a test that takes `share` of the profile's examples, since it is dearer than others, or cheaper."""
    return settings(max_examples=max(1, round(share * settings.default.max_examples)), **more)
