# SPDX-License-Identifier: Apache-2.0
"""A synthetic world of facts in S2RKE's record format, and the training of tiny models that know it."""

from __future__ import annotations

from kedit.worlds.entries import Entry, Subject
from kedit.worlds.sampling import Sampler
from kedit.worlds.world import World, WorldError

__all__ = ["Entry", "Sampler", "Subject", "World", "WorldError"]
