# SPDX-License-Identifier: Apache-2.0
"""What every test of the suite shares; options and fixtures of the gate are in the plugin `kedit.gate.plugin`."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """One thread a process: numbers do not depend on the machine's load, and workers do not fight for cores."""
    torch.set_num_threads(1)
