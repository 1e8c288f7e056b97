# SPDX-License-Identifier: Apache-2.0
"""Published data sets as facts: read, counted, built and drawn from."""

from __future__ import annotations

from kedit.datasets.common_knowledge import COMMON_KNOWLEDGE, common_knowledge
from kedit.datasets.common_texts import common_texts
from kedit.datasets.errors import DatasetError
from kedit.datasets.formats import FORMATS
from kedit.datasets.reading import read_dataset, read_groups
from kedit.datasets.records import Dataset, Probe, Record, Skipped

__all__ = [
    "COMMON_KNOWLEDGE",
    "FORMATS",
    "Dataset",
    "DatasetError",
    "Probe",
    "Record",
    "Skipped",
    "common_knowledge",
    "common_texts",
    "read_dataset",
    "read_groups",
]
