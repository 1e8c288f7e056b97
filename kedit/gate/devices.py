# SPDX-License-Identifier: Apache-2.0
"""Which device a process of pytest works on: every worker of pytest-xdist has one of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

__all__ = ["check_device", "check_workers", "own_device"]

_CLAIM = pytest.StashKey[FileLock]()


def check_device(name: str) -> None:
    """Refuse what torch does not take for a device.

    Raises:
        pytest.UsageError: it is none, or one that holds no numbers.
    """
    import torch

    if name == "auto":
        return
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise pytest.UsageError(f"--device {name}: no device has this name; give cuda, cuda:1, auto or cpu") from error
    if kind == "meta":
        raise pytest.UsageError("--device meta holds no numbers; give cuda, cuda:1, auto or cpu")


def check_workers(config: pytest.Config, device: str) -> None:
    """Refuse several workers on one device, before any of them starts.

    Raises:
        pytest.UsageError: more workers than CUDA devices, or workers that would share theirs.
    """
    workers = getattr(config.option, "numprocesses", None) or 0
    if workers < 2 or device == "cpu":
        return
    if device != "cuda":
        raise pytest.UsageError(f"-n {workers} with --device {device}: the workers would share it; give -n 1")
    import torch

    devices = torch.cuda.device_count()
    if devices and workers > devices:  # without any, every model is skipped and says so
        raise pytest.UsageError(
            f"-n {workers} with {devices} CUDA devices: every worker has a device of its own; give -n {devices}"
        )


def own_device(config: pytest.Config, device: str) -> str:
    """The device of this process: a worker on `cuda` takes one that no living worker of the run has.

    It is held by a lock, which a worker that dies lets go, so that the one in its place finds it.
    """
    run = getattr(config, "workerinput", {}).get("testrunuid", "")
    if device != "cuda" or not run:
        return device
    import torch

    for index in range(torch.cuda.device_count()):
        claim = FileLock(Path(tempfile.gettempdir()) / f"kedit-{run}-cuda-{index}.lock")
        try:
            claim.acquire(timeout=0)
        except Timeout:
            continue
        config.stash[_CLAIM] = claim
        return f"cuda:{index}"
    return device
