# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: clocks, the ceiling of the machine, memory, and the operations no arrangement avoids."""

from __future__ import annotations

import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from kedit.facts import Fact, Prompt
from kedit.locate_then_edit.groups import members
from kedit.models import LanguageModel
from kedit.models.tokens import Text, encode

T = TypeVar("T")

# Sides of the matrix products whose best rate is the ceiling; a GPU needs the larger ones.
SIDES, SIDES_ON_GPU = (512, 1024), (4096, 8192, 16384)


@dataclass(frozen=True)
class Clock:
    """Seconds of one device: of the wall, or of the processor, which a busy machine does not lengthen."""

    device: str = "cpu"
    processor: bool = False

    def now(self) -> float:
        """Seconds from some start, once the device has done what it was given; a GPU works behind the host."""
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)
        return time.process_time() if self.processor else time.perf_counter()


WALL = Clock()


class Stopwatch:
    """Seconds by name; of nested parts only the outermost counts."""

    def __init__(self, clock: Clock = WALL) -> None:
        """Nothing measured yet."""
        self.clock = clock
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._inside = False

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the time inside to `name`."""
        if self._inside:
            yield
            return
        self._inside = True
        start = self.clock.now()
        try:
            yield
        finally:
            self.seconds[name] += self.clock.now() - start
            self._inside = False


def timed(work: Callable[[], T], clock: Clock = WALL) -> tuple[float, T]:
    """Seconds of one call, and its result."""
    start = clock.now()
    result = work()
    return clock.now() - start, result


def peak_flops(clock: Clock = WALL, dtype: torch.dtype = torch.float32) -> float:
    """Operations a second, two a multiply-add, of the fastest large square matrix product."""
    best = 0.0
    for side in SIDES_ON_GPU if clock.device.startswith("cuda") else SIDES:
        a, b = (torch.randn(side, side, device=clock.device).to(dtype) for _ in range(2))
        torch.mm(a, b)
        seconds = min(timed(partial(torch.mm, a, b), clock)[0] for _ in range(6))
        best = max(best, 2 * side**3 / seconds)
    return best


def floor_flops(
    model: LanguageModel,
    facts: Sequence[Fact],
    groups: Sequence[int],
    layer: int,
    contexts: Sequence[str],
    updates: Tensor,
    *,
    divergence: bool,
) -> float:
    """Operations of a value search that no arrangement avoids: the blocks above `layer`, from the subject's last token
    on, and the head where a target is predicted.

    A step costs two operations a weight and token forward and two back (weights get no gradient); after the last of a
    group's `updates` `(G,)` there is one more look forward. Attention scores, norms and activations are left out.

    Args:
        model: the model.
        facts: the batch.
        groups: group of each fact.
        layer: the block whose output the values are added to.
        contexts: prefixes.
        updates: steps of each group.
        divergence: whether each group has a row for the KL term.
    """
    above = sum(p.numel() for block in list(model.blocks)[layer + 1 :] for p in block.parameters() if p.dim() == 2)
    head = model.d * model.head_size
    total = 0.0
    for fellows, n in zip(members(groups), updates.tolist(), strict=True):
        texts = [Text(facts[i].prompt, facts[i].target, context) for i in fellows for context in contexts]
        rows = encode(model.tokenizer, texts)
        once = sum(above * (len(row.ids) - 1 - (row.subject_last or 0)) + head * len(row.target_ids) for row in rows)
        if divergence:
            (row,) = encode(model.tokenizer, [Text(Prompt("", facts[fellows[0]].subject, " is a"))])
            once += above * (len(row.ids) - (row.subject_last or 0)) + head
        total += (4 * n + 2) * once
    return total


class Memory:
    """MiB on one device: allocated by torch on a GPU, resident on a CPU."""

    def __init__(self, device: torch.device | str) -> None:
        """Look at `device`."""
        self.device = torch.device(device)

    def forget_peak(self) -> None:
        """Let the peak start from what is held now."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            with suppress(OSError):  # elsewhere the peak is that of the whole process
                Path("/proc/self/clear_refs").write_text("5")

    def now(self) -> float:
        """Held now."""
        if self.device.type == "cuda":
            return torch.cuda.memory_allocated(self.device) / 2**20
        return _status("VmRSS") or self.peak()

    def peak(self) -> float:
        """Held at most since `forget_peak`."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _status(name: str) -> float:
    """A line of Linux's account of this process, in MiB; 0 elsewhere."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
    return 0.0
