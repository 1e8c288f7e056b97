# SPDX-License-Identifier: Apache-2.0
"""After each edit, after all edits, and what was forgotten between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kedit.metrics.metric import Metric, MetricError, mean

__all__ = ["AFTER_ALL", "AFTER_EACH", "FORGETTING", "Retention", "forgetting"]


@dataclass(frozen=True)
class Retention:
    """One number per edit (a hit as 0 or 1, or a score), measured twice in one sequence.

    Attributes:
        each: of edit i, right after edit i.
        final: of edit i, after the last edit.
    """

    each: tuple[float, ...]
    final: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what cannot be compared.

        Raises:
            MetricError: no edits, or not both numbers for each.
        """
        if not self.each or len(self.each) != len(self.final):
            raise MetricError(
                f"retention needs both numbers of every edit, got {len(self.each)} after each and "
                f"{len(self.final)} after all; measure every edit twice"
            )

    @property
    def after_each(self) -> float:
        """Mean over edits, each measured right after it was made."""
        return mean(self.each, "after-each")

    @property
    def after_all(self) -> float:
        """Mean over edits, all measured after the last one."""
        return mean(self.final, "after-all")

    @property
    def forgetting(self) -> float:
        """`after_each - after_all`; negative if later edits helped earlier ones."""
        return self.after_each - self.after_all


def forgetting(each: Sequence[float], final: Sequence[float]) -> float:
    """Mean after each minus mean after all.

    Raises:
        MetricError: no edits, or not both numbers for each.
    """
    return Retention(tuple(each), tuple(final)).forgetting


def _after_each(retention: Retention) -> float:
    return retention.after_each


def _after_all(retention: Retention) -> float:
    return retention.after_all


AFTER_EACH = Metric(
    name="after each",
    definition="mean over edits of the metric measured right after each edit",
    protocol="one sequence of edits; the weights are never restored between",
    unit="unit of the metric",
    source="D4S, section 4.1 and appendix B",
    better="higher",
    compute=_after_each,
)

AFTER_ALL = Metric(
    name="after all",
    definition="mean over edits of the metric measured once the last edit is made",
    protocol="one sequence of edits; the weights are never restored between",
    unit="unit of the metric",
    source="D4S, section 4.1 and appendix B",
    better="higher",
    compute=_after_all,
)

FORGETTING = Metric(
    name="forgetting",
    definition="after each minus after all",
    protocol="both from the same sequence of edits",
    unit="unit of the metric",
    source="D4S, section 4.1",
    better="lower",
    compute=forgetting,
)
