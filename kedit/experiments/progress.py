# SPDX-License-Identifier: Apache-2.0
"""How far a run is and how long it will still take, by what cells of the same kind took."""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, TextIO

from tqdm import tqdm

from kedit.experiments.cells import Cell
from kedit.experiments.grid import Task
from kedit.experiments.measuring import Outcome

__all__ = ["Estimate", "Progress"]

_EVERY = 30.0  # seconds between lines where nobody watches

Kind = tuple[str, str]


class Estimate:
    """What is left to measure, in seconds of one process."""

    def __init__(self, tasks: Iterable[Task], known: Iterable[Cell]) -> None:
        """Start with `tasks` to do, and learn from cells that earlier runs left."""
        self._left = Counter(_kind(task.protocol, task.editor) for task in tasks)
        self._taken: dict[Kind, list[float]] = {}
        for cell in known:
            self.learn(cell)

    def learn(self, cell: Cell) -> None:
        """Take note of what a cell took."""
        self._taken.setdefault(_kind(cell.key["protocol"], cell.key["editor"]), []).append(cell.seconds)

    def done(self, task: Task) -> None:
        """Take a task off."""
        self._left[_kind(task.protocol, task.editor)] -= 1

    def seconds(self) -> float | None:
        """Seconds of work left: the mean of each protocol and editor, that of all where it is new, None at first."""
        means = {kind: statistics.fmean(taken) for kind, taken in self._taken.items()}
        if not means:
            return None
        other = statistics.fmean(means.values())
        return sum(count * means.get(kind, other) for kind, count in self._left.items())


class Progress:
    """Tells on `stream`: a bar on a terminal, elsewhere a line now and then."""

    def __init__(
        self, tasks: Sequence[Task], known: Iterable[Cell], *, jobs: int = 1, stream: TextIO | None = None
    ) -> None:
        """Before `tasks` run in `jobs` processes."""
        self._stream = sys.stderr if stream is None else stream
        self._jobs = jobs
        self._total, self._finished, self._failed = len(tasks), 0, 0
        self._estimate = Estimate(tasks, known)
        self._told = time.monotonic()
        self._bar: Any = None
        if self._stream.isatty() and tasks:
            form = "{n_fmt}/{total_fmt} cells |{bar}| {elapsed}{postfix}"
            self._bar = tqdm(total=len(tasks), file=self._stream, bar_format=form, dynamic_ncols=True, mininterval=0)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def tell(self, outcome: Outcome) -> None:
        """A task has ended."""
        self._finished += 1
        self._failed += outcome.cell is None
        self._estimate.done(outcome.task)
        if outcome.cell is not None:
            self._estimate.learn(outcome.cell)
        failed = f", {self._failed} failed" if self._failed else ""
        text = f"{_left(self._estimate.seconds(), self._jobs)}{failed}, last: {outcome.task}"
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update()
        elif self._finished == self._total or time.monotonic() - self._told >= _EVERY:
            self._told = time.monotonic()
            self._stream.write(f"{self._finished}/{self._total} cells, {text}\n")
            self._stream.flush()


def _left(seconds: float | None, jobs: int) -> str:
    if seconds is None:
        return "time left unknown"
    whole = round(seconds / jobs)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02} left"


def _kind(protocol: str, editor: str) -> Kind:
    return protocol, editor
