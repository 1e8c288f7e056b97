# SPDX-License-Identifier: Apache-2.0
"""A run of pytest inside a program, a notebook or another run of pytest, that leaves the process as it was."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import os
import random
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

__all__ = ["Ran", "run_pytest", "undisturbed"]

# No file of the user's, no plugin of the user's, and of what hooks into the process only the time-out.
_ALONE = (
    f"--config-file={os.devnull}",
    "--disable-plugin-autoload",
    "--import-mode=importlib",
    "--assert=plain",
    "--capture=sys",
    "-ppytest_timeout",
    *(
        f"-pno:{name}"
        for name in ("cacheprovider", "faulthandler", "logging", "threadexception", "unraisableexception")
    ),
)


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run ended: pytest's exit status, and what it wrote."""

    status: int
    output: str
    errors: str

    @property
    def message(self) -> str:
        """The line of a usage error, or the end of everything that was written."""
        lines = self.errors.splitlines()  # a wrong argument ends in `error: `, after pytest's usage
        told = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
        told += [line.partition(": error: ")[2] for line in lines if ": error: " in line]
        return told[-1] if told else (self.output + self.errors)[-2000:].strip()


def run_pytest(folder: Path, args: Sequence[str], plugin: object) -> Ran:
    """Run the tests of a package with the gate and one more plugin, and with no settings but these.

    Args:
        folder: the folder of the package.
        args: arguments of pytest.
        plugin: an object with hooks.
    """
    call = [*_ALONE, "-p", "kedit.gate.plugin", f"--rootdir={folder.parent}", f"--confcutdir={folder}", *args]
    output, errors = io.StringIO(), io.StringIO()
    before = set(sys.modules)
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            status = int(pytest.main([str(folder), *call], plugins=[plugin]))
    finally:
        # Test modules are collected afresh by the next run; what else was imported stays, as after any import.
        for name in set(sys.modules) - before:
            if name.startswith(f"{folder.name}.") and name.rpartition(".")[2].startswith(("test_", "conftest")):
                del sys.modules[name]
    return Ran(status, output.getvalue(), errors.getvalue())


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Put back what a run changes in the process: paths, environment, warnings, logging, random states, threads.

    The names that pytest reads from the environment are hidden meanwhile, so that a run inside a run is its own.
    """
    folder, path, threads, frozen = Path.cwd(), list(sys.path), torch.get_num_threads(), gc.get_freeze_count()
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PYTEST_")}
    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, root.manager.disable
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        # Filters that make errors of warnings, and gradients turned off, are the caller's and not the gate's.
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.resetwarnings()
            warnings.simplefilter("default")
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        torch.set_num_threads(threads)
        root.handlers[:] = handlers
        root.setLevel(level)
        root.manager.disable = disabled
        for name in [name for name in os.environ if name.startswith("PYTEST_")]:
            del os.environ[name]
        os.environ.update(hidden)
        sys.path[:] = path
        os.chdir(folder)
        if not frozen:
            gc.unfreeze()
