# SPDX-License-Identifier: Apache-2.0
"""Whether verdicts of the gate hold over draws of facts, numbers of processes and of threads.

    python -m kedit.gate.flakiness --editor memit-merge --runs 20 --out DIR [--model M]

Run number i draws with seed i, in 1 or 2 processes in turn, and where it is one with 1 or 2 threads of torch. Its
report lies in a folder of DIR; a run that is there already is not repeated. DIR/flakiness.json then says of every
judged number how it spread, how near it came to its threshold, and in how many runs its status was another than in
most. What is not an option of this command goes to pytest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedit.commands.gate import gate_command
from kedit.files import write_atomically
from kedit.gate.calibrate import read_report
from kedit.versions import versions

__all__ = ["Setting", "main", "settings", "summary"]


@dataclass(frozen=True, slots=True)
class Setting:
    """How one run differs from the others: seed of its draws, processes, threads of torch in each."""

    seed: int
    workers: int
    threads: int

    @property
    def name(self) -> str:
        """The folder of its report."""
        return f"seed-{self.seed}-workers-{self.workers}-threads-{self.threads}"


def settings(runs: int) -> list[Setting]:
    """The settings of so many runs; the first of them do not depend on how many there are."""
    # Never more threads than two in all: on two cores they would wait for each other.
    return [Setting(n, 2, 1) if n % 2 else Setting(n, 1, 1 + n // 2 % 2) for n in range(runs)]


def main(argv: Sequence[str] | None = None) -> int:
    """Make the runs that are missing and write the summary; returns 1 if a verdict changed."""
    parser = argparse.ArgumentParser(
        prog="python -m kedit.gate.flakiness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--editor", required=True, metavar="NAME", help="built-in name or package.module:Attribute")
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="number of runs (default 20)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the reports and the summary")
    parser.add_argument("--model", action="append", default=[], metavar="M", help="model (repeatable; default: all)")
    options, rest = parser.parse_known_args(argv)
    if options.runs < 1:
        parser.error(f"--runs {options.runs}: make at least 1")
    models = [part for name in options.model for part in ("--model", name)]
    reports = {}
    for setting in settings(options.runs):
        place = options.out / setting.name
        if not (place / "report.json").is_file():
            sys.stdout.write(f"{setting.name}\n")
            sys.stdout.flush()
            _run(options.editor, setting, place, [*models, *rest])
        reports[setting] = read_report(place / "report.json")
    found = summary(reports)
    text = json.dumps(found, indent=1, allow_nan=False) + "\n"
    write_atomically(options.out / "flakiness.json", lambda part: part.write_text(text, encoding="utf-8"))
    changed = [row for row in found["rows"] if row["verdict_changes"]]
    for row in changed:
        where = " ".join([row["property"], row["model"], *(f"{k}={v}" for k, v in sorted(row["parameters"].items()))])
        sys.stdout.write(f"{where}: {', '.join(f'{count} {status}' for status, count in row['statuses'].items())}\n")
    sys.stdout.write(f"{options.runs} runs, {len(found['rows'])} numbers, {len(changed)} of changing verdict\n")
    return 1 if changed else 0


def _run(editor: str, setting: Setting, place: Path, rest: Sequence[str]) -> None:
    """One run of the gate; its folder gets its name when it is whole.

    Raises:
        RuntimeError: the gate came to no report; its output is named.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    log, unfinished = place.with_name(f"{place.name}.log"), place.with_name(f"{place.name}.part")
    own = ["--editing-seed", setting.seed, "--editing-threads", setting.threads, "--editing-report", unfinished]
    with log.open("w", encoding="utf-8") as output:
        call = [*gate_command(editor, str(setting.workers), rest), *map(str, own)]
        status = subprocess.run(call, stdout=output, stderr=subprocess.STDOUT, check=False).returncode
    if status not in (0, 1) or not (unfinished / "report.json").is_file():
        raise RuntimeError(f"the gate ended with status {status} and without a report; read {log}")
    unfinished.rename(place)


def summary(reports: Mapping[Setting, Mapping[str, Any]]) -> dict[str, Any]:
    """What `docs/properties.md` prints: the runs, and every number over them.

    Raises:
        ValueError: reports of several editors.
    """
    editors = {report["editor"] for report in reports.values()}
    if len(editors) != 1:
        raise ValueError(f"reports of several editors: {', '.join(sorted(editors))}; give each a folder of its own")
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for report in reports.values():
        for key, row in _numbered(report["results"]):
            groups.setdefault(key, []).append(row)
    return {
        "editor": editors.pop(),
        "versions": versions(),
        "runs": [{"seed": one.seed, "workers": one.workers, "threads": one.threads} for one in reports],
        "rows": [_spread(rows, len(reports)) for _, rows in sorted(groups.items())],
    }


def _numbered(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows with a key each; a test may judge one number several times, of which the worst is compared."""
    worst: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        key = json.dumps([row["property"], row["model"], row["parameters"]], sort_keys=True)
        if key not in worst or (row["status"] == "failed" and worst[key]["status"] != "failed"):
            worst[key] = row
    yield from worst.items()


def _spread(rows: Sequence[Mapping[str, Any]], runs: int) -> dict[str, Any]:
    values = [float(row["measured"]) for row in rows if row["measured"] is not None]
    statuses = Counter(row["status"] for row in rows)
    if len(rows) < runs:
        statuses["missing"] = runs - len(rows)
    bound: float | None = next((row["threshold"] for row in rows if row["measured"] is not None), None)
    beyond = [] if bound is None else [value - bound for value in values]
    return {
        "property": rows[0]["property"],
        "model": rows[0]["model"],
        "parameters": rows[0]["parameters"],
        "n": len(values),
        "min": min(values, default=None),
        "max": max(values, default=None),
        "mean": statistics.fmean(values) if values else None,
        "standard_deviation": statistics.stdev(values) if len(values) > 1 else None,
        "threshold": bound,
        "margin": _margin(beyond),
        "statuses": dict(sorted(statuses.items())),
        "verdict_changes": sum(statuses.values()) - max(statuses.values()),
    }


def _margin(beyond: Sequence[float]) -> float | None:
    """Distance from the threshold to the nearest number; 0 where numbers lie on both sides of it."""
    if not beyond:
        return None
    return 0.0 if min(beyond) < 0 < max(beyond) else min(map(abs, beyond))


if __name__ == "__main__":
    sys.exit(main())
