# SPDX-License-Identifier: Apache-2.0
"""Counts of a set of facts, in the form of S2RKE's tables 1 and 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kedit.experiments.experiment import ExperimentError, Row
from kedit.experiments.setting import Setting

__all__ = ["counts"]


def counts(setting: Setting, parameters: Mapping[str, Any]) -> list[Row]:
    """Records, subjects and relations of the source, over all (table 1) and by category (table 2, the arms).

    Raises:
        ExperimentError: it was given parameters.
    """
    if parameters:
        raise ExperimentError(f"counts takes no parameters, got {', '.join(parameters)}; remove them")
    found = setting.source.statistics()
    rows = [
        Row("records", found.records, "All"),
        Row("maximum records per subject", found.most_per_subject, "All"),
        Row("minimum records per subject", found.fewest_per_subject, "All"),
    ]
    for one in found.rows:
        rows += [
            Row("subjects", one.subjects, one.category),
            Row("relations", one.relations, one.category),
            Row("edits", one.edits, one.category),
            Row("records per subject", one.average, one.category),
        ]
    return rows
