# SPDX-License-Identifier: Apache-2.0
"""Every experiment, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kedit.experiments.declared.ablations import ABLATIONS
from kedit.experiments.declared.d4s import D4S
from kedit.experiments.declared.merge import MERGE
from kedit.experiments.declared.paper_size import twins
from kedit.experiments.declared.s2rke import S2RKE
from kedit.experiments.declared.tokens import TOKENS
from kedit.experiments.experiment import Experiment

__all__ = ["BY_NAME", "EXPERIMENTS", "IN_PAPER_SIZE"]

_OWN = (*S2RKE, *MERGE, *D4S, *ABLATIONS, *TOKENS)

EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType({experiment.name: experiment for experiment in _OWN})
"""Every figure and table, in sizes that the tiny models take."""

IN_PAPER_SIZE: Mapping[str, Experiment] = MappingProxyType({twin.name: twin for twin in twins(_OWN)})
"""Those whose papers go further, once more in the paper's size, for full models."""

BY_NAME: Mapping[str, Experiment] = MappingProxyType({**EXPERIMENTS, **IN_PAPER_SIZE})
"""Both."""
