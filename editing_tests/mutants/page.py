# SPDX-License-Identifier: Apache-2.0
"""Writes `docs/properties.md`: every property with what it catches, every pitfall with its guard, every mutant.

    python -m editing_tests.mutants.page [--check]

The data are the tests of the suite and their docstrings, `thresholds.toml`, the known failures of the built-in editors,
`pitfalls.toml`, the mutants and `matrix.json`, and `docs/flakiness.json`. With `--check` nothing is written; the status
is 1 if the page is not what the data say.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from editing_tests.mutants.catalogue import MUTANTS, SURVIVORS
from editing_tests.mutants.verdicts import Caught
from kedit.editors import editor_names
from kedit.gate.catalogue import PropertyEntry, bound, catalogue
from kedit.gate.expectations import read_expectations
from kedit.gate.pitfalls import Pitfall, read_pitfalls
from kedit.gate.run import suite_folder
from kedit.gate.thresholds import Thresholds

__all__ = ["main", "page"]

HEAD = """\
# Properties

What the gate asks of an editor, what each property was seen to catch, and how far measured numbers are from their
thresholds. Made by `python -m editing_tests.mutants.page` from the tests themselves; `pytest --editing-properties`
prints the first table in a terminal. Ids are stable: one that is published stays, or the changelog says why it went.
"""
PROPERTIES = """\
## What is asked

"Mutants" are editors broken on purpose that the property must catch and does (below); "published methods" are built-in
editors that are known to fail it on some tiny model (`editing_tests/expectations`). A property that catches neither
does not get into this table: a test fails.

| property | what holds, and its source | tags | thresholds | mutants | published methods |
|---|---|---|---|---|---|
"""
MATRIX = """\
## Mutants

Each is a built-in editor with one thing broken. Bold properties must catch it, and the tests see that they do; the
others were seen to catch it too, where `matrix.json` was made with `--full`.

| mutant | made of | what is wrong | model | caught by |
|---|---|---|---|---|
"""
SURVIVING = """\
Mistakes that were tried and that no property tells from the right editor on the tiny models, and why:

| | made of | what is wrong | why nothing sees it |
|---|---|---|---|
"""
PITFALLS = """\
## Pitfalls

Mistakes that the field's code is known to have made, and what keeps them out: a property, where it can be seen from
outside in any editor; a test of kedit, where the code is ours; the mutant that stands for it.

| | what goes wrong | seen in | properties | tests of kedit | mutants |
|---|---|---|---|---|---|
"""


def page(root: Path) -> str:
    """The whole page, from the data of the checkout at `root`."""
    suite = suite_folder()
    thresholds = Thresholds.read(suite / "thresholds.toml")
    cells = json.loads((suite / "mutants" / "matrix.json").read_text(encoding="utf-8"))["cells"]
    spread = root / "docs" / "flakiness.json"
    parts = [
        HEAD,
        PROPERTIES + "".join(_property(entry, _failing(suite, thresholds)) for entry in catalogue(suite, thresholds)),
        MATRIX + "".join(_mutants(cells)),
        SURVIVING + "".join(_row(one.name, one.of, one.wrong, one.survives) for one in SURVIVORS),
        PITFALLS + "".join(map(_pitfall, read_pitfalls(suite / "pitfalls.toml"))),
    ]
    if spread.is_file():
        parts.append(_spread(json.loads(spread.read_text(encoding="utf-8"))))
    return "\n".join(parts)


def _failing(suite: Path, thresholds: Thresholds) -> Mapping[str, list[str]]:
    """Property -> built-in editors with a known failure of it."""
    found: dict[str, list[str]] = {}
    for name in editor_names():
        entries = read_expectations(suite / "expectations" / f"{name}.toml", "expectations", thresholds)
        for property_id in dict.fromkeys(entry.property for entry in entries):
            found.setdefault(property_id, []).append(name)
    return found


def _property(entry: PropertyEntry, failing: Mapping[str, Sequence[str]]) -> str:
    tags = [*entry.needs, *(f"not {tag}" for tag in entry.excludes), *(["long"] if entry.long else [])]
    mutants = [mutant.name for mutant in MUTANTS if entry.id in mutant.caught_by]
    return _row(
        f"`{entry.id}`",
        "<br>".join(entry.sentences),
        ", ".join(tags),
        "<br>".join(bound(one) for one in entry.thresholds),
        ", ".join(mutants),
        ", ".join(failing.get(entry.id, ())),
    )


def _mutants(cells: Caught) -> Iterable[str]:
    for mutant in MUTANTS:
        for model in mutant.models:
            by = cells[mutant.name][model]
            named = [f"**{name}**" for name in mutant.caught_by]
            others = [name for name in sorted(by) if name not in mutant.caught_by]
            yield _row(mutant.name, mutant.of, mutant.wrong, model, ", ".join([*named, *others]))


def _pitfall(pitfall: Pitfall) -> str:
    return _row(
        str(pitfall.id),
        pitfall.says,
        pitfall.source,
        ", ".join(f"`{name}`" for name in pitfall.properties),
        "<br>".join(f"`{test}`" for test in pitfall.tests) or pitfall.no_code,
        ", ".join(mutant.name for mutant in MUTANTS if pitfall.id in mutant.pitfalls),
    )


def _spread(data: Mapping[str, Any]) -> str:
    """The measured numbers over runs of different seeds, processes and threads."""
    changed = sum(bool(row["verdict_changes"]) for row in data["rows"])
    head = f"""\
## Spread

`{data["editor"]}` in {len(data["runs"])} runs of the whole gate, each with its own seed, in one or two processes and
with one or two threads (`python -m kedit.gate.flakiness`): {len(data["rows"])} numbers, of which {changed} changed
their verdict. "Margin" is the distance from the threshold to the nearest number of all runs. Numbers that must be exact
and were so in every run are left out.

| property | model | number | threshold | min | mean | max | standard deviation | margin | verdicts |
|---|---|---|---|---|---|---|---|---|---|
"""
    return head + "".join(_spread_row(row) for row in data["rows"] if not _is_constant(row))


def _is_constant(row: Mapping[str, Any]) -> bool:
    return row["n"] > 0 and row["min"] == row["max"] == row["threshold"] and not row["verdict_changes"]


def _spread_row(row: Mapping[str, Any]) -> str:
    rest = [f"{name}={value}" for name, value in sorted(row["parameters"].items()) if name != "metric"]
    numbers = (row[name] for name in ("threshold", "min", "mean", "max", "standard_deviation", "margin"))
    return _row(
        row["property"],
        row["model"],
        " ".join([str(row["parameters"].get("metric", "")), *rest]).strip(),
        *("" if value is None else f"{value:.3g}" for value in numbers),
        ", ".join(f"{count} {status}" for status, count in row["statuses"].items()),
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check the page."""
    parser = argparse.ArgumentParser(prog="python -m editing_tests.mutants.page", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if the page is out of date")
    options = parser.parse_args(argv)
    root = suite_folder().parent
    path, text = root / "docs" / "properties.md", page(root)
    if options.check:
        return int(not path.is_file() or path.read_text(encoding="utf-8") != text)
    path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
