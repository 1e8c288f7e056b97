# SPDX-License-Identifier: Apache-2.0
"""Every experiment, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kedit.experiments.declared.ablations import ABLATIONS
from kedit.experiments.declared.d4s import D4S
from kedit.experiments.declared.merge import MERGE
from kedit.experiments.declared.s2rke import S2RKE
from kedit.experiments.experiment import Experiment

__all__ = ["EXPERIMENTS"]

EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {experiment.name: experiment for experiment in (*S2RKE, *MERGE, *D4S, *ABLATIONS)}
)
