# SPDX-License-Identifier: Apache-2.0
"""Collects second moments of many tokens: streamed, in one pass for all layers, by several processes, and resumable."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kedit.files import one_at_a_time
from kedit.models.activations import BATCH_TOKENS, chunks
from kedit.models.language_model import LanguageModel
from kedit.statistics.corpora import Corpus
from kedit.statistics.errors import StatisticsError
from kedit.statistics.gram import Gram, add_keys, gram_bytes, sum_keys
from kedit.statistics.portions import Portion, portions, row_limit
from kedit.statistics.shards import Plan, Shard, check_plan, read_shard, read_sums, write_shard
from kedit.statistics.store import layer_file

__all__ = ["GPU_TOKENS", "PER_DIMENSION", "Estimate", "collect", "estimate", "make_plan", "pass_tokens"]

# Tokens per key dimension where nothing else is asked for.
PER_DIMENSION = 10
# Tokens of a forward pass on a GPU.
GPU_TOKENS = 16384
# Portions of a collection: enough for sixteen shards and checkpoints, and not too small for a forward pass.
PORTIONS, LEAST, MOST = 16, 512, 65536
# Seconds between checkpoints, and the most that writing them may take of the time.
EVERY, SHARE = 60.0, 0.05


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a shard will take.

    Attributes:
        seconds: of measuring what is left of it.
        speed: tokens a second, in a chunk that was measured and thrown away.
        tokens: left to measure, of this shard.
        memory: bytes beside the weights while it runs: the sums, and one chunk's keys.
        weights: bytes of the model's parameters.
        disk: bytes that are still needed in the folder, for the shard and for the second moments of all layers.
    """

    seconds: float
    speed: float
    tokens: int
    memory: int
    weights: int
    disk: int


def make_plan(
    model: LanguageModel, corpus: Corpus, layers: Sequence[int], *, tokens: int | None = None, shards: int = 1
) -> Plan:
    """The plan of a collection, by default of 10 tokens per key dimension.

    Raises:
        ModelError: layers that the model does not have.
        StatisticsError: no token or no shard is asked for.
    """
    wanted = PER_DIMENSION * model.f if tokens is None else tokens
    if wanted < 1 or shards < 1:
        raise StatisticsError(f"{wanted} tokens in {shards} shards are nothing to collect; ask for one of each or more")
    portion = max(LEAST, min(MOST, wanted // PORTIONS))
    return Plan(
        model.origin, model.f, model.check_layers(layers), corpus.name, corpus.revision, wanted, portion,
        row_limit(model), shards,
    )  # fmt: skip


def estimate(
    model: LanguageModel, corpus: Corpus, plan: Plan, folder: Path, *, index: int = 1, budget: int = 0
) -> Estimate:
    """Measure the first portion's middle chunk twice, the second time with a clock, and reckon from that.

    Args:
        model: unedited.
        corpus: its first portion is read.
        plan: of the collection.
        folder: of the collection; what is there already is not counted. It need not be there.
        index: which shard.
        budget: tokens of a forward pass; that of the device if 0.

    Raises:
        StatisticsError: the corpus has no texts, or the folder has another collection.
    """
    shard, present = _begun(folder, plan, index), 0
    if shard.file(folder).is_file():
        present = gram_bytes(plan.f)
    size = pass_tokens(model, budget)
    begin = time.perf_counter()
    first = next(_stream(model, corpus, plan), None)
    if first is None:
        raise StatisticsError(f"the corpus {plan.corpus} has no texts; give another one")
    reading = (time.perf_counter() - begin) / first.seen
    found = chunks([len(row.ids) for row in first.rows], size)
    rows = [first.rows[i] for i in found[len(found) // 2]]
    sums = {layer: Gram(plan.f) for layer in plan.layers}
    add_keys(model, rows, sums)
    _settle(sums)
    begin = time.perf_counter()
    counted = add_keys(model, rows, sums)
    _settle(sums)
    measuring = (time.perf_counter() - begin) / counted
    left = 0 if shard.is_complete else max(0, round(plan.tokens / plan.shards) - shard.tokens)
    weights = {id(one): one.numel() * one.element_size() for one in model.module.parameters()}
    strip = plan.f * plan.f // 8
    return Estimate(
        seconds=left * measuring + plan.tokens * reading,
        speed=1 / measuring,
        tokens=left,
        memory=len(plan.layers) * gram_bytes(plan.f) + 4 * strip + 4 * size * plan.f,
        weights=sum(weights.values()),
        disk=sum(
            gram_bytes(plan.f) - present + (0 if layer_file(folder, layer).is_file() else 8 * plan.f * plan.f)
            for layer in plan.layers
        ),
    )


def collect(
    model: LanguageModel,
    corpus: Corpus,
    plan: Plan,
    folder: Path,
    *,
    index: int = 1,
    budget: int = 0,
    every: float = EVERY,
    source: str = "",
    before: Callable[[Estimate], None] = lambda _estimate: None,
    after: Callable[[int, int], None] = lambda _done, _of: None,
) -> Shard:
    """Measure one shard of a collection into its file in `folder`; what is there already is not measured again.

    The sums of a run that was killed at any moment and started again have the bits of one that was not.

    Args:
        model: unedited.
        corpus: the texts; as many as are needed are read, never kept.
        plan: what is collected.
        folder: of the collection.
        index: which shard, from 1.
        budget: tokens of a forward pass; that of the device if 0.
        every: least seconds between two checkpoints; 0 makes one after each portion, however long it takes to write.
        source: what opens the model again; for `verify`.
        before: is told the estimate, before anything is measured.
        after: is told, after each portion, how many tokens of the stream are behind the shard and how many are asked
            for.

    Raises:
        StatisticsError: the model is not as it was loaded or not the plan's, the folder has another collection, another
            process is at it, the texts changed, or the disk is too full.
    """
    _check(model, plan, index)
    name = f"shard {index} of {plan.shards}"
    busy = StatisticsError(f"another process writes {name} in {folder}; wait, or name another folder")
    with one_at_a_time(folder / f".{name}.lock", wait=0.0, refusal=busy):
        shard = _begun(folder, plan, index)
        path = shard.file(folder)
        if shard.is_complete:
            _check_all_texts(path, shard, _stream(model, corpus, plan))
            return shard
        # The estimate has sums of its own, so it comes before those of the shard.
        told = estimate(model, corpus, plan, folder, index=index, budget=budget)
        before(told)
        _check_disk(folder, told)
        sums = {layer: Gram(plan.f) for layer in plan.layers}
        if path.is_file():
            for layer, strips in read_sums(path, shard, plan.layers).items():
                sums[layer].put(strips)
        else:
            shard = replace(shard, place=corpus.place, source=source, dtype=model.dtype)
        size = pass_tokens(model, budget)
        written, took = time.monotonic(), 0.0
        found = 0
        for portion in _stream(model, corpus, plan):
            found = portion.index + 1
            if found <= shard.done:
                _check_texts(path, shard, portion.fingerprint if found == shard.done else shard.fingerprint)
                continue
            counted = 0
            if portion.index % plan.shards == index - 1:
                counted = sum_keys(model, portion.rows, sums, size)
            shard = replace(
                shard, done=portion.index + 1, tokens=shard.tokens + counted, documents=portion.documents,
                fingerprint=portion.fingerprint,
            )  # fmt: skip
            after(portion.seen, plan.tokens)
            if time.monotonic() - written >= (every and max(every, took / SHARE)):
                begin = time.monotonic()
                write_shard(folder, shard, sums)
                written, took = time.monotonic(), time.monotonic() - begin
        _check_texts(path, shard, shard.fingerprint if found == shard.done else "")
        shard = replace(shard, is_complete=True)
        write_shard(folder, shard, sums)
        return shard


def _stream(model: LanguageModel, corpus: Corpus, plan: Plan) -> Iterator[Portion]:
    return portions(model.tokenizer, corpus.texts(), limit=plan.limit, size=plan.portion, tokens=plan.tokens)


def pass_tokens(model: LanguageModel, asked: int = 0) -> int:
    """Padded tokens of a forward pass, at least a row: as many as asked for, or what suits the device if 0."""
    return max(row_limit(model), asked or (GPU_TOKENS if model.device.type == "cuda" else BATCH_TOKENS))


def _begun(folder: Path, plan: Plan, index: int) -> Shard:
    """How far a shard is in a folder; nothing is done where it has no file."""
    shard = Shard(plan, index)
    path = shard.file(folder)
    if path.is_file():
        shard = read_shard(path)
        check_plan(path, shard.plan, plan)
    return shard


def _settle(sums: dict[int, Gram]) -> None:
    """Wait until a device has done what it was asked for."""
    for gram in sums.values():
        float(gram.strips[-1][-1, -1])


def _check(model: LanguageModel, plan: Plan, index: int) -> None:
    if model.fingerprint() != model.origin or model.origin != plan.model:
        raise StatisticsError(
            f"{model.name} is not as it was loaded: second moments belong to the unedited model; collect them before "
            "the first edit"
        )
    if not 1 <= index <= plan.shards:
        raise StatisticsError(f"there is no shard {index} of {plan.shards}; shards count from 1")


def _check_disk(folder: Path, told: Estimate) -> None:
    free = shutil.disk_usage(folder).free
    if free < told.disk:
        raise StatisticsError(
            f"{folder} has {free / 1e9:.1f} GB of free space, {told.disk / 1e9:.1f} GB are needed; name another folder"
        )


def _check_all_texts(path: Path, shard: Shard, stream: Iterator[Portion]) -> None:
    """Whether a corpus still has the texts of a whole shard; nothing is measured."""
    found, fingerprint = 0, ""
    for portion in stream:
        found, fingerprint = portion.index + 1, portion.fingerprint
    _check_texts(path, shard, fingerprint if found == shard.done else "")


def _check_texts(path: Path, shard: Shard, fingerprint: str) -> None:
    if fingerprint != shard.fingerprint:
        raise StatisticsError(
            f"{path}: the texts of {shard.plan.corpus} are others than when the shard was begun; delete the file, or "
            "give the same texts"
        )
