# SPDX-License-Identifier: Apache-2.0
"""Shards of a collection: what one process has summed, on disk, and the second moments that all of them add up to.

`shard-<i>-of-<n>.safetensors` has the sums of the shard's portions, and how far it is; `layer-<n>.safetensors` the
second moment of one layer, when all shards are done.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from kedit.files import is_part, one_at_a_time, write_atomically
from kedit.statistics.errors import StatisticsError
from kedit.statistics.gram import Gram, edges, whole
from kedit.statistics.second_moments import SecondMoment, save
from kedit.statistics.store import layer_file, metadata_of

__all__ = [
    "Plan", "Shard", "check_plan", "check_sha256", "is_merged", "merge", "merge_alone", "read_shard", "read_sums",
    "shard_files", "write_shard",
]  # fmt: skip

SHARD_FORMAT = "kedit key sums 1"
# Seconds to wait for another process that adds shards up.
MERGE_WAIT = 3600.0
_NAME = re.compile(r"shard-(\d+)-of-(\d+)\.safetensors")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a collection is, the same in all its shards.

    Attributes:
        model: origin of the model.
        f: size of its keys.
        layers: ascending.
        corpus, revision: name of the corpus, and of the state of a published one.
        tokens: how many are asked for, over all shards.
        portion: least tokens of a portion; shard `i` of `n` has every n-th portion.
        limit: most tokens of a row.
        shards: `n`.
    """

    model: str
    f: int
    layers: tuple[int, ...]
    corpus: str
    revision: str
    tokens: int
    portion: int
    limit: int
    shards: int


@dataclass(frozen=True, slots=True)
class Shard:
    """How far one shard is.

    Attributes:
        plan: of the collection.
        index: which shard, from 1.
        done: portions of the stream that it has behind it, its own and those of others.
        tokens: in its sums.
        documents: texts of the stream begun.
        fingerprint: of these texts.
        is_complete: whether the stream has ended.
        place, source, dtype: what opens the corpus and the model again on the machine that measured; for people and
            `verify`.
    """

    plan: Plan
    index: int
    done: int = 0
    tokens: int = 0
    documents: int = 0
    fingerprint: str = ""
    is_complete: bool = False
    place: str = ""
    source: str = ""
    dtype: str = ""

    def file(self, folder: Path) -> Path:
        """Where it lies."""
        return folder / f"shard-{self.index}-of-{self.plan.shards}.safetensors"


def shard_files(folder: Path) -> list[Path]:
    """The shards of a folder, by number."""
    named = [(found, path) for path in folder.glob("shard-*.safetensors") if (found := _NAME.fullmatch(path.name))]
    return [path for found, path in sorted(named, key=lambda pair: (int(pair[0][2]), int(pair[0][1])))]


def write_shard(folder: Path, shard: Shard, sums: Mapping[int, Gram]) -> None:
    """Write how far a shard is, whole or not at all."""
    for path in folder.glob(f".{shard.file(folder).name}.*"):
        if is_part(path):  # of a run that was killed while it wrote
            path.unlink(missing_ok=True)
    tensors = {
        f"{layer}.{i}": strip.cpu().contiguous() for layer, gram in sums.items() for i, strip in enumerate(gram.strips)
    }
    words = {"format": SHARD_FORMAT, "shard": json.dumps(asdict(shard))}
    if shard.is_complete:  # until then it is written again and again
        words["sha256"] = sha256_of(tensors[name] for name in sorted(tensors))
    write_atomically(shard.file(folder), lambda part: save_file(tensors, part, metadata=words))


def read_shard(path: Path) -> Shard:
    """How far a shard is, without its sums.

    Raises:
        StatisticsError: it is damaged, or no shard.
    """
    words = metadata_of(path)
    try:
        if words["format"] != SHARD_FORMAT:
            raise ValueError(f"its format is {words['format']!r}")
        told = json.loads(words["shard"])
        plan = Plan(**told.pop("plan"))
        return Shard(replace(plan, layers=tuple(plan.layers)), **told)
    except (KeyError, TypeError, ValueError) as error:
        raise StatisticsError(f"{path} holds no sums of keys ({error}); delete it and collect again") from error


def read_sums(path: Path, shard: Shard, layers: Sequence[int]) -> dict[int, list[Tensor]]:
    """The strips of the asked layers, float64.

    Raises:
        StatisticsError: they are damaged or of another shape.
    """
    shapes = [(end - start, end) for start, end in pairwise(edges(shard.plan.f))]
    try:
        with safe_open(path, framework="pt") as file:
            found = {layer: [file.get_tensor(f"{layer}.{i}") for i in range(len(shapes))] for layer in layers}
    except (SafetensorError, OSError) as error:
        raise StatisticsError(f"{path} is damaged ({error}); delete it and collect again") from error
    for layer, strips in found.items():
        if [tuple(strip.shape) for strip in strips] != shapes or any(strip.dtype != torch.float64 for strip in strips):
            raise StatisticsError(f"{path}: layer {layer} holds no sums of keys of size {shard.plan.f}; delete it")
    return found


def merge_alone(folder: Path, *, again: bool = False, wait: float = MERGE_WAIT) -> None:
    """`merge`, by one of the processes whose shards end together; the others wait for it.

    Args:
        folder: of the collection.
        again: merge even if that was done.
        wait: seconds, for another process.

    Raises:
        StatisticsError: as `merge`, or another process is still at it after `wait` seconds.
    """
    refusal = StatisticsError(f"another process adds the shards of {folder} up; wait, then run the command again")
    with one_at_a_time(folder / ".layers.lock", wait=wait, refusal=refusal):
        if again or not is_merged(folder):
            merge(folder)


def is_merged(folder: Path) -> bool:
    """Whether every layer of a collection was written after its shards."""
    shards = shard_files(folder)
    layers = [layer_file(folder, layer) for layer in read_shard(shards[0]).plan.layers] if shards else []
    if not layers or not all(path.is_file() for path in layers):
        return False
    return min(path.stat().st_mtime_ns for path in layers) >= max(path.stat().st_mtime_ns for path in shards)


def merge(folder: Path) -> dict[int, Path]:
    """Add the shards of a folder and write the second moment of each layer; the shards stay.

    Returns:
        Layer -> file.

    Raises:
        StatisticsError: no shards, one is missing, unfinished, damaged or of another collection, or all are empty.
    """
    paths = shard_files(folder)
    if not paths:
        raise StatisticsError(f"{folder} has no shards; collect some with kedit statistics collect --shard I/N")
    shards = [read_shard(path) for path in paths]
    plan, first = shards[0].plan, shards[0]
    for path, shard in zip(paths, shards, strict=True):
        check_plan(path, shard.plan, plan)
        if not shard.is_complete:
            raise StatisticsError(f"{path} is not finished; run its command again, it goes on")
        if shard.fingerprint != first.fingerprint:
            raise StatisticsError(
                f"{path} was measured on other texts than {paths[0].name}, though both call them {plan.corpus}; "
                "use the same file everywhere"
            )
        check_sha256(path)
    missing = sorted(set(range(1, plan.shards + 1)) - {shard.index for shard in shards})
    if missing:
        lacking = ", ".join(map(str, missing))
        raise StatisticsError(f"{folder} lacks shards {lacking} of {plan.shards}; collect them or copy them here")
    tokens = sum(shard.tokens for shard in shards)
    if not tokens:
        raise StatisticsError(f"{folder}: the corpus {plan.corpus} has no texts; give another one")
    corpus = hashlib.sha256(f"{first.fingerprint} {tokens}".encode()).hexdigest()
    about = {
        "source": plan.corpus,
        "revision": plan.revision,
        "documents": str(first.documents),
        "row tokens": str(plan.limit),
        "corpus place": first.place,
        "model place": first.source,
        "dtype": first.dtype,
    }
    written = {}
    for layer in plan.layers:
        matrix = torch.zeros(plan.f, plan.f, dtype=torch.float64)
        for path, shard in zip(paths, shards, strict=True):
            matrix += whole(read_sums(path, shard, [layer])[layer])
        matrix /= tokens
        path = written[layer] = layer_file(folder, layer)
        save(path, SecondMoment(layer, matrix, tokens, plan.model, corpus), about | {"sha256": sha256_of([matrix])})
    return written


def check_plan(path: Path, found: Plan, wanted: Plan) -> None:
    """Raises StatisticsError if a shard belongs to another collection, and says in what they differ."""
    for name, value in asdict(wanted).items():
        if getattr(found, name) != value:
            raise StatisticsError(
                f"{path} is of another collection: {name} is {str(getattr(found, name))[:40]} there and "
                f"{str(value)[:40]} here; name another folder, or delete it"
            )


def check_sha256(path: Path) -> None:
    """Raises StatisticsError if the tensors of a file are not those that were written."""
    told = metadata_of(path).get("sha256")
    try:
        with safe_open(path, framework="pt") as file:
            found = sha256_of(file.get_tensor(name) for name in sorted(file.keys()))
    except (SafetensorError, OSError) as error:
        raise StatisticsError(f"{path} is damaged ({error}); delete it and collect again") from error
    if told is not None and told != found:
        raise StatisticsError(f"{path} is damaged (its numbers are not those that were written); delete it")


def sha256_of(tensors: Iterable[Tensor]) -> str:
    """Hash of the bytes of tensors on the CPU."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
