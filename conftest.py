# SPDX-License-Identifier: Apache-2.0
"""A plain checkout loads the gate here; an installed one by its entry point of the same name."""

from __future__ import annotations

pytest_plugins = ["kedit.gate.plugin", "pytester"]
