# SPDX-License-Identifier: Apache-2.0
"""The gate: a pytest plugin that judges an editor property by property.

The names here are what property tests use; they are loaded when first asked for, because pytest imports this package in
every run and need not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kedit.gate.bench import Gate as Gate
    from kedit.gate.inspection import capture as capture
    from kedit.gate.inspection import differences as differences
    from kedit.gate.inspection import digest as digest
    from kedit.gate.inspection import interrupted as interrupted
    from kedit.gate.inspection import tensor_elements as tensor_elements
    from kedit.gate.judging import PropertyViolation as PropertyViolation
    from kedit.gate.measurements import density_scores as density_scores
    from kedit.gate.measurements import distinct_batches as distinct_batches
    from kedit.gate.measurements import distinct_sequence as distinct_sequence
    from kedit.gate.measurements import homogeneous_gaps as homogeneous_gaps
    from kedit.gate.measurements import locality as locality
    from kedit.gate.measurements import repeated_edit as repeated_edit
    from kedit.gate.measurements import returning_sequence as returning_sequence
    from kedit.gate.measurements import same_subject_batches as same_subject_batches
    from kedit.gate.measurements import single_edits as single_edits
    from kedit.gate.series import record_first_edit as record_first_edit
    from kedit.gate.series import record_same_subject as record_same_subject
    from kedit.gate.series import record_sequence as record_sequence
    from kedit.gate.snapshots import MetricTable as MetricTable

_HOMES = {
    "Gate": "bench",
    "MetricTable": "snapshots",
    "PropertyViolation": "judging",
    "capture": "inspection",
    "density_scores": "measurements",
    "differences": "inspection",
    "digest": "inspection",
    "distinct_batches": "measurements",
    "distinct_sequence": "measurements",
    "homogeneous_gaps": "measurements",
    "interrupted": "inspection",
    "locality": "measurements",
    "record_first_edit": "series",
    "record_same_subject": "series",
    "record_sequence": "series",
    "repeated_edit": "measurements",
    "returning_sequence": "measurements",
    "same_subject_batches": "measurements",
    "single_edits": "measurements",
    "tensor_elements": "inspection",
}

__all__ = list(_HOMES)  # one list of names, with their homes


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
