# SPDX-License-Identifier: Apache-2.0
"""The gate: a pytest plugin that judges an editor property by property.

The names here are what property tests use; they are loaded when first asked for, because pytest imports this package in
every run and need not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kedit.gate.behaviour import answers as answers
    from kedit.gate.behaviour import bits as bits
    from kedit.gate.behaviour import converted as converted
    from kedit.gate.behaviour import decodes as decodes
    from kedit.gate.behaviour import independent as independent
    from kedit.gate.behaviour import moved as moved
    from kedit.gate.behaviour import outcome as outcome
    from kedit.gate.behaviour import reordered as reordered
    from kedit.gate.bench import Bench as Bench
    from kedit.gate.bench import Gate as Gate
    from kedit.gate.candidates import Candidate as Candidate
    from kedit.gate.checking import Checked as Checked
    from kedit.gate.checking import check_editor as check_editor
    from kedit.gate.inspection import capture as capture
    from kedit.gate.inspection import differences as differences
    from kedit.gate.inspection import digest as digest
    from kedit.gate.inspection import digests as digests
    from kedit.gate.inspection import interrupted as interrupted
    from kedit.gate.inspection import tensor_elements as tensor_elements
    from kedit.gate.judging import PropertyViolation as PropertyViolation
    from kedit.gate.measurements import density_scores as density_scores
    from kedit.gate.measurements import distinct_batches as distinct_batches
    from kedit.gate.measurements import distinct_sequence as distinct_sequence
    from kedit.gate.measurements import homogeneous_gaps as homogeneous_gaps
    from kedit.gate.measurements import inverse_edits as inverse_edits
    from kedit.gate.measurements import locality as locality
    from kedit.gate.measurements import repeated_edit as repeated_edit
    from kedit.gate.measurements import returning_sequence as returning_sequence
    from kedit.gate.measurements import same_subject_batches as same_subject_batches
    from kedit.gate.measurements import single_edits as single_edits
    from kedit.gate.measurements import single_update as single_update
    from kedit.gate.protocols import edited as edited
    from kedit.gate.series import record_first_edit as record_first_edit
    from kedit.gate.series import record_same_subject as record_same_subject
    from kedit.gate.series import record_sequence as record_sequence
    from kedit.gate.snapshots import MetricTable as MetricTable
    from kedit.gate.snapshots import table_of as table_of
    from kedit.gate.watching import live_numbers as live_numbers

_HOMES = {
    "Bench": "bench",
    "Candidate": "candidates",
    "Checked": "checking",
    "Gate": "bench",
    "MetricTable": "snapshots",
    "PropertyViolation": "judging",
    "answers": "behaviour",
    "bits": "behaviour",
    "capture": "inspection",
    "converted": "behaviour",
    "decodes": "behaviour",
    "check_editor": "checking",
    "density_scores": "measurements",
    "differences": "inspection",
    "digest": "inspection",
    "digests": "inspection",
    "distinct_batches": "measurements",
    "distinct_sequence": "measurements",
    "edited": "protocols",
    "homogeneous_gaps": "measurements",
    "independent": "behaviour",
    "interrupted": "inspection",
    "inverse_edits": "measurements",
    "live_numbers": "watching",
    "locality": "measurements",
    "moved": "behaviour",
    "outcome": "behaviour",
    "reordered": "behaviour",
    "record_first_edit": "series",
    "record_same_subject": "series",
    "record_sequence": "series",
    "repeated_edit": "measurements",
    "returning_sequence": "measurements",
    "same_subject_batches": "measurements",
    "single_edits": "measurements",
    "single_update": "measurements",
    "table_of": "snapshots",
    "tensor_elements": "inspection",
}

__all__ = list(_HOMES)  # one list of names, with their homes


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
