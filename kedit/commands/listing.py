# SPDX-License-Identifier: Apache-2.0
"""`kedit editors`: the built-in editors, what each changes, is, and is known to fail."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

from kedit.commands.answers import Answer
from kedit.editors.registry import BUILT_IN, load_editor
from kedit.gate.expectations import read_expectations
from kedit.gate.run import suite_folder
from kedit.gate.thresholds import Thresholds

__all__ = ["editors"]


def editors(_options: argparse.Namespace) -> Answer:
    """The table of the built-in editors."""
    rows = _rows()
    return Answer({"editors": rows}, _lines(rows))


def _rows() -> list[dict[str, Any]]:
    folder = suite_folder()
    thresholds = Thresholds.read(folder / "thresholds.toml")
    rows = []
    for name, entry in BUILT_IN.items():
        tags = dataclasses.asdict(load_editor(name).tags)
        known = read_expectations(folder / "expectations" / f"{name}.toml", "expectations", thresholds)
        rows.append(
            {
                "name": name,
                "paper": entry.paper,
                "year": entry.year,
                "changes": entry.changes,
                "tags": [tag for tag, has in tags.items() if has],
                "known_failures": [
                    {"property": one.property, "models": list(one.models), "reason": one.reason} for one in known
                ],
            }
        )
    return rows


def _lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """One line an editor, and under it what it is and what it is known to fail."""
    width = max(len(row["name"]) for row in rows)
    lines = []
    for row in rows:
        failing = dict.fromkeys(entry["property"] for entry in row["known_failures"])
        lines += [
            f"{row['name']:{width}}  {row['paper']} {row['year']}: {row['changes']}",
            f"{'':{width}}  tags: {', '.join(row['tags'])}",
            f"{'':{width}}  known failures: {', '.join(failing) or 'none'}",
        ]
    return lines
