# SPDX-License-Identifier: Apache-2.0
"""How many properties there are, for what verdicts say."""

from __future__ import annotations

from kedit.gate.run import suite_folder
from kedit.gate.thresholds import Thresholds

PROPERTIES = len(Thresholds.read(suite_folder() / "thresholds.toml").properties)
