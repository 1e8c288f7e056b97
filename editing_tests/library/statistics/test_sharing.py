# SPDX-License-Identifier: Apache-2.0
"""Several processes that need the same second moments measure them once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from editing_tests.library.random_models import random_model
from kedit.files import one_at_a_time
from kedit.models import LanguageModel
from kedit.statistics import measure, second_moments

TEXTS = [f"Mira Solano number {i} lives in the {i}th house" for i in range(40)]

# Each process waits for the other, so that both need the matrices at the same time, and notes every measurement.
WORKER = """
import sys, time
from pathlib import Path
from kedit.statistics import measure
from editing_tests.library.statistics.test_sharing import small_model

room = sys.modules[measure.__module__]
folder, own, others = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
measured = room.measure

def slow(*args, **options):
    (folder / f"measured-{own}").touch()
    time.sleep(1.0)
    return measured(*args, **options)

room.measure = slow
model = small_model()
(folder / f"ready-{own}").touch()
while not (folder / f"ready-{others}").exists():
    time.sleep(0.01)
found = room.second_moments(model, [0, 1], cache=folder / "cache")
sys.stdout.write(str(float(found[0].matrix.sum())))
"""
HOLDER = """
import sys, time
from pathlib import Path
from kedit.files import one_at_a_time

with one_at_a_time(Path(sys.argv[1])):
    sys.stdout.write("in\\n")
    sys.stdout.flush()
    time.sleep(600)
"""


def small_model() -> LanguageModel:
    model = random_model("gpt2", seed=0)
    model.corpus = tuple(TEXTS)
    return model


def python(code: str, *args: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *map(str, args)], stdout=subprocess.PIPE, text=True)


def test_one_of_two_processes_measures_and_the_other_reads(tmp_path: Path) -> None:
    both = [python(WORKER, tmp_path, *names) for names in (("one", "other"), ("other", "one"))]
    told = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert told[0] == told[1] != ""
    assert len(list(tmp_path.glob("measured-*"))) == 1


def test_a_holder_that_was_killed_holds_no_longer(tmp_path: Path) -> None:
    holder = python(HOLDER, tmp_path / "lock")
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "in\n"
        with pytest.raises(AssertionError, match="waited"):
            enter(tmp_path / "lock", wait=0.2)
    finally:
        holder.kill()
        holder.communicate()
    enter(tmp_path / "lock", wait=30.0)


def enter(path: Path, *, wait: float) -> None:
    """Go in; fails if that took the whole time."""
    since = time.monotonic()
    with one_at_a_time(path, wait=wait):
        assert time.monotonic() - since < wait, "waited"


def test_a_folder_that_cannot_be_made_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    model = small_model()
    found = second_moments(model, [0], cache=tmp_path / "file" / "cache")
    assert torch.equal(found[0].matrix, measure(model, TEXTS, [0])[0].matrix)


def test_a_file_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys.modules[measure.__module__], "write_atomically", full)
    assert second_moments(small_model(), [0], cache=tmp_path)[0].tokens > 0
    assert not list(tmp_path.glob("*.safetensors"))
