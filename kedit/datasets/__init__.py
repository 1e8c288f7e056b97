# SPDX-License-Identifier: Apache-2.0
"""Published data sets as facts: read, counted, built and drawn from."""

from __future__ import annotations

from kedit.datasets.errors import DatasetError
from kedit.datasets.formats import FORMATS
from kedit.datasets.reading import read_dataset
from kedit.datasets.records import Dataset, Probe, Record, Skipped

__all__ = ["FORMATS", "Dataset", "DatasetError", "Probe", "Record", "Skipped", "read_dataset"]
