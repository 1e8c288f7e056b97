# SPDX-License-Identifier: Apache-2.0
"""Where the weights of a model are, and which placements and formats cannot be edited."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kedit.models.architectures import ModelError

__all__ = ["check_device", "check_folder", "check_placement", "device_map"]

EDITABLE = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
SLOW = ("cpu", "disk", "meta")
UNQUANTISED = "load the published weights in float32, bfloat16 or float16"


def check_device(device: torch.device | str) -> None:
    """Refuse a device that is not here, or that has no float64, before anything is read for it.

    Args:
        device: one device, or `auto`, which asks for any CUDA device.

    Raises:
        ModelError: it does.
    """
    name = str(device)
    if name.startswith(("cuda", "auto")) and not torch.cuda.is_available():
        raise ModelError("no CUDA device is here; run it where one is, or give --device cpu")
    try:
        torch.empty(1, dtype=torch.float64, device="cuda" if name == "auto" else device)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"device {name} cannot be used ({reason}); give --device cpu, or cuda") from error


def device_map(device: torch.device | str) -> dict[str, Any]:
    """The argument by which transformers spreads a model over all devices (`auto`); none for a single device.

    Raises:
        ModelError: accelerate, which does it, is not installed.
    """
    if str(device) != "auto":
        return {}
    if find_spec("accelerate") is None:
        raise ModelError("device 'auto' needs the library accelerate; install kedit[sharded], or name one device")
    return {"device_map": "auto"}


def check_folder(folder: Path) -> None:
    """Refuse a checkpoint that says of itself that it is quantised, before any weight is read.

    Raises:
        ModelError: it does.
    """
    try:
        told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError:
        return  # the loader says what is wrong with it
    if isinstance(told, dict) and told.get("quantization_config"):
        raise ModelError(_quantised(str(folder), told["quantization_config"]))


def check_placement(module: nn.Module, name: str) -> None:
    """Refuse quantised weights and weights that are not all in the memory of the devices that compute with them.

    Raises:
        ModelError: by name of the first such parameter or module.
    """
    told = getattr(module.config, "quantization_config", None)
    if told:
        raise ModelError(_quantised(name, told))
    for parameter, tensor in module.named_parameters():
        if tensor.device.type == "meta":
            raise ModelError(_offloaded(name, parameter))
        if tensor.dtype not in EDITABLE:
            raise ModelError(
                f"{name}: the weight {parameter} is quantised ({tensor.dtype}) and cannot be edited in place; "
                f"{UNQUANTISED}"
            )
    places = {part: str(place) for part, place in (getattr(module, "hf_device_map", None) or {}).items()}
    # A model that is on the host as a whole is not offloaded.
    if set(places.values()) != {"cpu"}:
        for part, place in places.items():
            if place in SLOW:
                raise ModelError(_offloaded(name, part or "the whole model"))
    for part, inner in module.named_modules():
        if getattr(getattr(inner, "_hf_hook", None), "offload", False):
            raise ModelError(_offloaded(name, part))


def _quantised(name: str, told: Any) -> str:
    method = told.get("quant_method", "unknown") if isinstance(told, dict) else type(told).__name__
    return f"{name} is quantised ({method}) and cannot be edited in place; {UNQUANTISED}"


def _offloaded(name: str, part: str) -> str:
    return (
        f"{name}: {part} is offloaded to the host or the disk, where an edit would be overwritten; load the model in "
        "bfloat16, on a larger device or on more of them"
    )
