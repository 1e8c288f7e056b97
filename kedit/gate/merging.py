# SPDX-License-Identifier: Apache-2.0
"""Which known failures hold after a run, and the fewest entries for the failures that none of them covers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kedit.gate.expectations import Expectation
from kedit.gate.results import parameter_text
from kedit.paths import tiny_models

__all__ = ["Merged", "Outcome", "Test", "merge"]


@dataclass(frozen=True, slots=True)
class Test:
    """One property test: which editor, on which model, with which parameters."""

    __test__ = False  # pytest collects by name

    editor: str
    model: str
    property: str
    parameters: Mapping[str, Any]

    def __str__(self) -> str:
        return (
            f"{self.property} [{', '.join(filter(None, (self.editor, self.model, parameter_text(self.parameters))))}]"
        )

    def matched_by(self, entry: Expectation) -> bool:
        """Whether the entry is about this test."""
        return entry.matches(self.editor, self.model, self.property, self.parameters)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a test found: the rows on the wrong side of their threshold, or that it crashed before its end."""

    test: Test
    violated: tuple[Mapping[str, Any], ...] = ()
    crashed: bool = False

    def fails(self, metric: str | None) -> bool:
        """Whether this metric, or any, is violated."""
        return any(metric in (None, row["parameters"]["metric"]) for row in self.violated)


@dataclass(frozen=True, slots=True)
class Merged:
    """What becomes of the known failures.

    Attributes:
        kept: entries that stay.
        new: entries for what no kept one covers.
        dropped: a line for each entry that goes, with the reason.
        remarks: a line for each failure that is not written, with the reason.
    """

    kept: tuple[Expectation, ...]
    new: tuple[Expectation, ...]
    dropped: tuple[str, ...]
    remarks: tuple[str, ...]


def merge(
    entries: Sequence[Expectation],
    outcomes: Sequence[Outcome],
    tests: Sequence[Test],
    editors: Sequence[str],
    models: Collection[str],
) -> Merged:
    """Known failures that fit what was found.

    An entry stays if all of its tests still fail, or if the run cannot tell. One that covers failing and holding tests
    is replaced by narrower ones with its reason. A crash is never a known failure.

    Args:
        entries: those in force.
        outcomes: what ran.
        tests: every test that applies, also those that did not run.
        editors: the editors of the run; if there are several, new entries name theirs.
        models: the models of the run.
    """
    judged = [outcome for outcome in outcomes if not outcome.crashed]
    kept, narrowed, dropped, remarks = [], [], [], []
    for entry in entries:
        seen = [outcome for outcome in judged if outcome.test.matched_by(entry)]
        failing = [outcome for outcome in seen if outcome.fails(entry.metric)]
        every = [test for test in tests if test.matched_by(entry)]
        if not entry.concerns(editors, models) or (every and len(failing) == len(seen)):
            kept.append(entry)
        elif not every:
            dropped.append(f"{entry.origin}, {entry.property}: matches no test")
        elif len(seen) < len(every):
            kept.append(entry)
            remarks.append(f"{entry.origin}, {entry.property}: holds in part; run all of its tests to narrow it")
        elif failing:
            narrowed.append(entry)
            dropped.append(f"{entry.origin}, {entry.property}: holds in part; narrower ones take its place")
        else:
            dropped.append(f"{entry.origin}, {entry.property}: holds now")
    new = []
    for entry, sources in _uncovered(judged, tests, kept, narrowed, name_editors=len(editors) > 1):
        if all(test.matched_by(entry) == (test in sources) for test in tests if test.editor == sources[0].editor):
            new.append(entry)
        else:
            remarks += [
                f"{test}: other tests have the same parameters, and no entry can name it alone" for test in sources
            ]
    remarks += [f"{outcome.test}: it crashed; a crash is no known failure" for outcome in outcomes if outcome.crashed]
    return Merged(tuple(kept), tuple(new), tuple(dropped), tuple(remarks))


def _uncovered(
    judged: Iterable[Outcome],
    tests: Sequence[Test],
    kept: Sequence[Expectation],
    narrowed: Sequence[Expectation],
    *,
    name_editors: bool,
) -> Iterator[tuple[Expectation, list[Test]]]:
    """Entries for the violations that no kept entry covers, each with its tests."""
    groups: dict[tuple[str, str, str, str], list[Outcome]] = {}
    for outcome in judged:
        covering = [entry for entry in kept if outcome.test.matched_by(entry)]
        if any(entry.metric is None for entry in covering):
            continue
        metrics = {row["parameters"]["metric"] for row in outcome.violated} - {entry.metric for entry in covering}
        for metric in metrics:
            old = [e.reason for e in narrowed if e.metric in (None, metric) and outcome.test.matched_by(e)]
            key = (outcome.test.editor, outcome.test.property, metric, "; ".join(dict.fromkeys(old)))
            groups.setdefault(key, []).append(outcome)
    for (editor, property_id, metric, reason), found in sorted(groups.items(), key=lambda pair: pair[0]):
        bare = Expectation(property_id, reason, metric, editors=(editor,) if name_editors else ())
        there = [test for test in tests if (test.editor, test.property) == (editor, property_id)]
        for parameters, models in _product([outcome.test for outcome in found], there):
            entry = replace(bare, parameters=parameters, models=models)
            sources = [outcome for outcome in found if outcome.test.matched_by(replace(entry, editors=()))]
            text = reason or _placeholder(metric, sources)
            yield replace(entry, reason=text), [outcome.test for outcome in sources]


def _product(failing: Sequence[Test], there: Sequence[Test]) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    """Parameters and models that together name the failing tests, left out where all that there are fail."""
    models_of: dict[tuple[tuple[str, Any], ...], set[str]] = {}
    for test in failing:
        models_of.setdefault(_key(test), set()).add(test.model)
    keys_of: dict[tuple[str, ...], list[tuple[tuple[str, Any], ...]]] = {}
    for key, models in models_of.items():
        keys_of.setdefault(tuple(sorted(models)), []).append(key)
    everywhere, every = {test.model for test in there}, {_key(test) for test in there}
    for failing_on, keys in sorted(keys_of.items()):
        named = () if set(failing_on) == everywhere >= set(tiny_models()) else failing_on
        names = {tuple(name for name, _ in key) for key in keys}
        if set(keys) == every:
            yield {}, named
        elif len(names) == 1 and len(next(iter(names))) == 1:
            values = sorted((key[0][1] for key in keys), key=lambda value: (str(type(value)), value))
            yield {keys[0][0][0]: values if len(values) > 1 else values[0]}, named
        else:
            for key in sorted(keys, key=repr):
                yield dict(key), named


def _key(test: Test) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(test.parameters.items()))


def _placeholder(metric: str, outcomes: Iterable[Outcome]) -> str:
    """The reason of a new entry: what was measured, and the request to say why."""
    rows = [row for outcome in outcomes for row in outcome.violated if row["parameters"]["metric"] == metric]
    measured, thresholds = ([row[name] for row in rows] for name in ("measured", "threshold"))
    sign = "at least" if rows[0]["bound"] == ">=" else "at most"
    return f"measured {_range(measured)}, must be {sign} {_range(thresholds)}; write down why"


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return low if low == high else f"{low} to {high}"
