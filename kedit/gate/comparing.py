# SPDX-License-Identifier: Apache-2.0
"""Two reports of the gate side by side: what got worse, what got better, and what else is different."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kedit.gate.report import Report, read_report
from kedit.gate.results import OUTCOMES, STATUSES, Result, natural, number, numbered, place

__all__ = ["TOLERANCE", "Comparison", "compare", "compare_reports"]

# Share of the old distance to the threshold that a number may move without being told.
TOLERANCE = 0.25
_RANKS = {"passed": 0, "xfailed": 1, "failed": 2}
_WORDS = {"xfailed": "known failure", "absent": "not in the report"}
_Key = tuple[str, str, str, int]


@dataclass
class Comparison:
    """What two reports say about each other.

    Attributes:
        differing: what a reader must know first: other editor, seed, versions, models, settings.
        got_worse, got_better, other: sentences, one for each finding.
        unchanged: numbers that are in both reports and did not move.
    """

    differing: list[str] = field(default_factory=list)
    got_worse: list[str] = field(default_factory=list)
    got_better: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    unchanged: int = 0

    @property
    def worse(self) -> bool:
        """Whether anything got worse."""
        return bool(self.got_worse)

    @property
    def lines(self) -> list[str]:
        """All of it, for printing; the last line sums up."""
        told = [f"different {line}" for line in self.differing]
        for title, found in (("worse", self.got_worse), ("better", self.got_better), ("also", self.other)):
            told += [f"{title}: {line}" for line in found]
        counts = f"{len(self.got_worse)} worse, {len(self.got_better)} better, {self.unchanged} numbers unchanged"
        return [*told, counts]

    def add(self, change: float, line: str) -> None:
        """A finding: worse if `change` is positive, better if negative, neither if 0."""
        (self.got_worse if change > 0 else self.got_better if change < 0 else self.other).append(line)


def compare(old: Path, new: Path) -> Comparison:
    """Compare two report.json files, or those in two folders.

    Raises:
        ValueError: one line that names the file, the field and the mend.
    """
    return compare_reports(read_report(old), read_report(new))


def compare_reports(old: Report, new: Report) -> Comparison:
    """Compare two reports of one editor, or of two."""
    found = Comparison(list(_differences(old, new)))
    if old.outcome != new.outcome:
        change = OUTCOMES.index(new.outcome) - OUTCOMES.index(old.outcome)
        found.add(change, f"the verdict: {old.verdict} -> {new.verdict}")
    shared = old.models.keys() & new.models.keys()
    _statuses(_worst(old, shared), _worst(new, shared), found)
    _numbers(_measured(old, shared), _measured(new, shared), found)
    return found


def _differences(old: Report, new: Report) -> Iterator[str]:
    for name in ("editor", "seed", "tags", "notes"):
        one, other = getattr(old, name), getattr(new, name)
        if one != other:
            yield f"{name}: {_text(one)} and {_text(other)}"
    for name in ("versions", "settings"):
        one, other = getattr(old, name), getattr(new, name)
        for key in sorted(one.keys() | other.keys()):
            if one.get(key) != other.get(key):
                yield f"{name}: {key} {_text(one.get(key))} and {_text(other.get(key))}"
    for model in sorted(old.models.keys() ^ new.models.keys(), key=natural):
        yield f"models: {model} only in the {'old' if model in old.models else 'new'} report"
    for model in sorted(old.models.keys() & new.models.keys(), key=natural):
        for key in sorted(old.models[model].keys() & new.models[model].keys()):
            one, other = old.models[model][key], new.models[model][key]
            if one != other:
                yield f"models: {model} has {key} {one[:12]} and {other[:12]}"


def _worst(report: Report, models: Any) -> dict[tuple[str, str], Result]:
    """Of each property on each model the row that needs reading first."""
    found: dict[tuple[str, str], Result] = {}
    for row in report.results:
        key = (row.property, row.model)
        if row.model in models and (key not in found or STATUSES.index(row.status) < STATUSES.index(found[key].status)):
            found[key] = row
    return found


def _statuses(old: Mapping[tuple[str, str], Result], new: Mapping[tuple[str, str], Result], found: Comparison) -> None:
    together: dict[tuple[str, str, int], list[str]] = {}
    for key in sorted(old.keys() | new.keys(), key=lambda key: place(key[0], key[1], {})):
        before, after = (side[key].status if key in side else "absent" for side in (old, new))
        if before != after:
            reason = f" ({new[key].reason})" if key in new and new[key].reason else ""
            change = f"{_WORDS.get(before, before)} -> {_WORDS.get(after, after)}{reason}"
            step = _step(_RANKS.get(before), _RANKS.get(after))
            together.setdefault((key[0], change, step), []).append(key[1])
    for (property_id, change, step), models in together.items():
        found.add(step, f"{property_id} on {', '.join(models)}: {change}")


def _step(before: int | None, after: int | None) -> int:
    """How much worse; a property that is judged in one report only is worse if it fails, or is lost without having."""
    if before is not None and after is not None:
        return after - before
    if after is not None:
        return int(after == _RANKS["failed"])
    return int(before is not None and before < _RANKS["failed"])


def _measured(report: Report, models: Any) -> dict[_Key, Result]:
    """Every measured number."""
    return {key: row for key, row in numbered(report.results) if row.model in models and row.distance() is not None}


def _numbers(old: Mapping[_Key, Result], new: Mapping[_Key, Result], found: Comparison) -> None:
    # Where a property has no number at all on a model, its status says so already.
    judged = {key[:2] for key in old} & {key[:2] for key in new}
    for key, row in new.items():
        before = old.get(key)
        name = f"{row.property} {key[2]} on {row.model}"
        if before is None:
            if key[:2] in judged:
                found.add(int(row.status == "failed"), f"{name}: newly measured, {_judged(row)}")
            continue
        moved = _moved(before, row)
        if before.threshold != row.threshold:
            found.other.append(f"{name}: threshold {number(before.threshold)} -> {number(row.threshold)}")
        if moved:
            found.add(moved, f"{name}: {number(before.measured)} -> {_judged(row)}")
        else:
            found.unchanged += 1
    for key, row in old.items():
        if key not in new and key[:2] in judged:
            found.got_worse.append(f"{row.property} {key[2]} on {row.model}: no longer measured, was {_judged(row)}")


def _moved(old: Result, new: Result) -> float:
    """How much farther from the good side a number is, 0 within the tolerance; both are held to the new threshold."""
    if old.measured is None or new.measured is None or new.threshold is None:
        return 0.0
    sign = 1.0 if new.bound == ">=" else -1.0
    before, after = sign * (old.measured - new.threshold), sign * (new.measured - new.threshold)
    crossed = (before < 0) != (after < 0)
    return before - after if crossed or abs(after - before) > TOLERANCE * abs(before) else 0.0


def _judged(row: Result) -> str:
    return f"{number(row.measured)} (must be {row.bound} {number(row.threshold)}, {row.status})"


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
