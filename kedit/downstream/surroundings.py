# SPDX-License-Identifier: Apache-2.0
"""What the harness finds in the process while it runs: no network, few words, random states that are put back."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["offline", "own_random_state", "quiet"]


@contextmanager
def quiet() -> Iterator[None]:
    """Only errors of the harness are logged; it warns of what is meant here, such as a model given as an object."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def own_random_state(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the generators of Python, numpy and torch, and put back afterwards how they stood."""
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


@contextmanager
def offline() -> Iterator[None]:
    """Data sets come from the local cache or not at all, as with `HF_HUB_OFFLINE=1`, which is read at import only."""
    from datasets import config

    before = config.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before
