# SPDX-License-Identifier: Apache-2.0
"""How much memory editing a model takes, told before anything is loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from kedit.models.architectures import ModelError, architecture_of
from kedit.models.random_weights import key_size

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

__all__ = ["MemoryNeed", "OutOfMemory", "check_memory", "memory_at_hand", "memory_needed", "parameter_count"]

GIB = 2**30
MEMINFO = Path("/proc/meminfo")
# A container's own bound: what it may use, and what it uses.
CGROUP = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current"))
# Part of what it uses are files read before, which are let go when memory is wanted.
CGROUP_PARTS = Path("/sys/fs/cgroup/memory.stat")
# Logits are read where a target is predicted, which is this share of the tokens at most.
READ = 0.25
# Of each layer's second moment a session keeps the matrix and the Cholesky factor of the damped one.
MATRICES_KEPT = 2
# A solve has the second moment, a sum and its factor on the device; while second moments are measured there, a layer's
# sum is the lower triangle in strips, and in the end one is put together to a whole.
MATRICES_SOLVED, TRIANGLE = 3, 9 / 16
# Keys and residuals that a history holds beside its factor.
PENDING = 64


class OutOfMemory(ModelError):
    """A model that would not fit; the message says what is needed, what is at hand, and what to do."""


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Bytes that an edit takes.

    Attributes:
        weights: all parameters in the dtype of the model, tied ones once, and the buffers.
        edited: of each edited matrix a trial weight in the dtype of the model and in float32, and of one at a time a
            float32 and two float64 copies, of which the new weight is summed.
        moments: the second moments of the edited layers in float64, and factored.
        activations: what a backward pass over the token budget keeps, an estimate from above.
        solving: float64 matrices on the device while second moments are measured or a system is solved.
        history: of each edited layer the factored sum over earlier edits, the solution and the keys and residuals
            since, on the device (D4S); and of half the layers once more, which is what a call of at most half a
            buffer's facts may fold. One of more than a buffer's folds all.
    """

    weights: int
    edited: int
    moments: int
    activations: int
    solving: int = 0
    history: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.edited + self.moments + self.activations + self.solving + self.history


def parameter_count(configuration: PreTrainedConfig) -> int:
    """Number of parameters, tied ones once."""
    return sum(parameter.numel() for parameter in _on_meta(configuration, torch.float32).parameters())


def memory_needed(
    configuration: PreTrainedConfig,
    dtype: torch.dtype,
    *,
    layers: int,
    tokens: int = 2048,
    statistics: bool = True,
    history: bool = False,
) -> MemoryNeed:
    """What editing `layers` blocks of a model of this configuration takes, in bytes; no weight is made or read.

    Args:
        configuration: of any family of the architecture table.
        dtype: of the weights.
        layers: number of edited blocks; 0 if nothing is edited.
        tokens: padded tokens that run at once.
        statistics: whether the editor needs second moments.
        history: whether the editor keeps sums over earlier edits (its tag `history`).

    Raises:
        ModelError: a family without a row.
    """
    row = architecture_of(str(configuration.model_type))
    module = _on_meta(configuration, dtype)
    parameters, buffers = list(module.parameters()), list(module.buffers())
    blocks = module.get_submodule(row.blocks)
    matrix = module.get_parameter(f"{row.blocks}.0.{row.down}.weight")
    d = int(configuration.hidden_size)
    f = key_size(configuration)
    size, single, double = dtype.itemsize, torch.float32.itemsize, torch.float64.itemsize
    # A block keeps about ten vectors of its hidden size (norms, queries, keys, values, outputs) and up to four of its
    # keys'; a read token keeps its logits and their float32 log-probabilities, there and back.
    passed = len(list(blocks.children())) * (10 * d + 4 * f) * size
    read = int(configuration.vocab_size) * (size + 3 * single)
    return MemoryNeed(
        weights=sum(tensor.numel() * tensor.element_size() for tensor in (*parameters, *buffers)),
        edited=matrix.numel() * (layers * (size + single) + single + 2 * double) if layers else 0,
        moments=layers * MATRICES_KEPT * f * f * double if statistics else 0,
        activations=tokens * passed + int(READ * tokens) * read,
        solving=int(max(MATRICES_SOLVED, layers * TRIANGLE + 1) * f * f * double) if layers and statistics else 0,
        history=(layers + -(-layers // 2)) * (f + d) * (f + PENDING) * double if history else 0,
    )


def _on_meta(configuration: PreTrainedConfig, dtype: torch.dtype) -> torch.nn.Module:
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        module: torch.nn.Module = AutoModelForCausalLM.from_config(configuration, dtype=dtype)
    return module


def memory_at_hand(device: torch.device | str) -> int:
    """Bytes that could be taken on a device now; on `auto` those of all CUDA devices together.

    Raises:
        ModelError: there is no such device.
    """
    if not _is_cuda(device):
        return _host()
    count = torch.cuda.device_count()
    wanted = range(count) if str(device) == "auto" else [torch.device(device).index or 0]
    if not count or max(wanted) >= count:
        raise ModelError(f"there is no device {str(device)!r} ({count} CUDA devices are here); use the device 'cpu'")
    return sum(_cuda(index) for index in wanted)


def _is_cuda(device: torch.device | str) -> bool:
    return str(device) == "auto" or torch.device(device).type == "cuda"


def _cuda(index: int) -> int:
    free, _ = torch.cuda.mem_get_info(index)
    # What torch's allocator holds and nobody uses can be taken too.
    return int(free) + torch.cuda.memory_reserved(index) - torch.cuda.memory_allocated(index)


def _host() -> int:
    if MEMINFO.is_file():
        told = dict(line.split(":", 1) for line in MEMINFO.read_text(encoding="ascii").splitlines() if ":" in line)
        at_hand = int(told["MemAvailable"].split()[0]) * 1024
    else:
        at_hand = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if all(file.is_file() for file in CGROUP):
        bound, used = (file.read_text(encoding="ascii").strip() for file in CGROUP)
        if bound != "max":
            at_hand = min(at_hand, int(bound) - int(used) + _let_go())
    return max(at_hand, 0)


def _let_go() -> int:
    """Bytes that a container uses for files and nobody needs."""
    if not CGROUP_PARTS.is_file():
        return 0
    told = dict(line.split() for line in CGROUP_PARTS.read_text(encoding="ascii").splitlines())
    return int(told.get("inactive_file", 0))


def check_memory(need: MemoryNeed, device: torch.device | str, *, name: str) -> None:
    """Check that `need` fits on a device, or on `auto`, all CUDA devices; second moments stay on the host.

    Raises:
        OutOfMemory: it does not; nothing was loaded.
        ModelError: there is no such device.
    """
    moments = [("second moments", need.moments)]
    parts = [
        ("weights", need.weights),
        ("edited matrices", need.edited),
        ("activations", need.activations),
        ("solving", need.solving),
        ("sums over edits", need.history),
    ]
    if _is_cuda(device):
        _fits(parts, device, name, "load it in bfloat16, on another device, or edit fewer layers")
        _fits(moments, "cpu", name, "edit fewer layers, or take a machine with more memory")
    else:
        _fits(parts + moments, device, name, "load it in bfloat16, on another device, or edit fewer layers")


def _fits(parts: list[tuple[str, int]], device: torch.device | str, name: str, mend: str) -> None:
    needed, at_hand = sum(size for _, size in parts), memory_at_hand(device)
    if needed > at_hand:
        split = ", ".join(f"{part} {size / GIB:.2f}" for part, size in parts if size)
        raise OutOfMemory(
            f"{name} needs {needed / GIB:.2f} GiB on {device} ({split}) and {at_hand / GIB:.2f} GiB are at hand; {mend}"
        )
