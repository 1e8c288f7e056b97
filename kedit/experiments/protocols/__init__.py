# SPDX-License-Identifier: Apache-2.0
"""What is done to a model and measured: a function of a setting and of parameters, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kedit.experiments.protocols.batches import paired_batch
from kedit.experiments.protocols.counts import counts
from kedit.experiments.protocols.overlaps import weight_overlap
from kedit.experiments.protocols.perturbation import density, first_and_last, key_pair, same_and_different
from kedit.experiments.protocols.sequences import long_sequence, question_types
from kedit.experiments.protocols.tokens import statistics_tokens
from kedit.experiments.setting import Measure

__all__ = ["PROTOCOLS"]

PROTOCOLS: Mapping[str, Measure] = MappingProxyType(
    {
        "same-and-different": same_and_different,
        "density": density,
        "first-and-last": first_and_last,
        "key-pair": key_pair,
        "paired-batch": paired_batch,
        "long-sequence": long_sequence,
        "question-types": question_types,
        "weight-overlap": weight_overlap,
        "statistics-tokens": statistics_tokens,
        "counts": counts,
    }
)
