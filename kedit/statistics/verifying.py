# SPDX-License-Identifier: Apache-2.0
"""Checks collected second moments: files, numbers, and whether keys of a fresh sample have the size they promise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from kedit.models.activations import BATCH_TOKENS
from kedit.models.doubles import doubles
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import Row
from kedit.statistics.corpora import Corpus
from kedit.statistics.errors import StatisticsError
from kedit.statistics.gram import Gram, sum_keys
from kedit.statistics.portions import row_limit, rows_of
from kedit.statistics.second_moments import SecondMoment, load
from kedit.statistics.shards import check_sha256, read_shard, read_sums, shard_files
from kedit.statistics.spectrum import DAMPING, Spectrum, spectrum
from kedit.statistics.store import layers_in, metadata_of

__all__ = ["Finding", "verify"]

# Tokens of the fresh sample, and how far its `k^T C^-1 k` may be from what is expected, as a factor. Of independent
# normal keys it is larger by N / (N - f); of the tiny models' keys by less than its square.
SAMPLE, FACTOR = 4096, 3.0
# Rounding of float32 products, relative to the largest eigenvalue.
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of one file.

    Attributes:
        path: of the file.
        problem: what is wrong, in a sentence; empty if nothing is.
        tokens: in it.
        spectrum: of a second moment that could be read.
        size: mean `k^T C_damped^-1 k` over a fresh sample, over what the spectrum promises; None if not measured.
    """

    path: Path
    problem: str = ""
    tokens: int = 0
    spectrum: Spectrum | None = None
    size: float | None = None


def verify(folder: Path, model: LanguageModel, corpus: Corpus | None) -> list[Finding]:
    """Check every file of a collection; keys of a fresh sample only where a corpus is given.

    Raises:
        StatisticsError: there is no file, or the corpus cannot be read.
    """
    layers, shards = layers_in(folder), shard_files(folder)
    if not layers and not shards:
        raise StatisticsError(f"{folder} has no collected second moments; name a folder of kedit statistics collect")
    known = [layer for layer in layers if layer < model.n_blocks]
    fresh = {} if corpus is None or not known else _fresh(model, corpus, known, _most_tokens(layers.values()))
    found = [_layer(path, model, layer, fresh.get(layer)) for layer, path in layers.items()]
    return [*found, *(_shard(path) for path in shards)]


def _shard(path: Path) -> Finding:
    try:
        shard = read_shard(path)
        check_sha256(path)
        for layer in shard.plan.layers:
            strips = read_sums(path, shard, [layer])[layer]
            if not all(bool(torch.isfinite(strip).all()) for strip in strips):
                raise StatisticsError(f"{path}: the sum of layer {layer} is not finite; delete it and collect again")
            diagonal = torch.cat([strip.diagonal(strip.shape[1] - strip.shape[0]) for strip in strips])
            if bool((diagonal < 0).any()):
                raise StatisticsError(f"{path}: the sum of layer {layer} has negative squares; collect it again")
    except StatisticsError as error:
        return Finding(path, str(error))
    return Finding(path, "" if shard.is_complete else f"{path} is not finished; run its command again", shard.tokens)


def _layer(path: Path, model: LanguageModel, layer: int, fresh: Tensor | None) -> Finding:
    try:
        moment = load(path, model=model, layer=layer)
        check_sha256(path)
    except StatisticsError as error:
        return Finding(path, str(error))
    moment = replace(moment, matrix=moment.matrix.to(doubles(model.weight(layer)[:0]).device))
    found = spectrum(moment.matrix)
    size = None if fresh is None else _size(moment, found, fresh.to(moment.matrix.device))
    return Finding(path, _problem(moment, found, size), moment.tokens, found, size)


def _problem(moment: SecondMoment, found: Spectrum, size: float | None) -> str:
    name, f = f"the second moment of layer {moment.layer}", moment.matrix.shape[0]
    if found.smallest < -ROUNDING * found.largest:
        return f"{name} is not positive semi-definite: it has the eigenvalue {found.smallest:.3g}; collect it again"
    try:
        moment.check_tokens()
    except StatisticsError as error:
        return str(error)
    most = FACTOR * (moment.tokens / max(1, moment.tokens - f)) ** 2
    if size is not None and not 1 / FACTOR < size < most:
        return (
            f"{name} is not that of this model's keys: over a fresh sample k^T C^-1 k is {size:.3g} times what it "
            "should be; collect it again"
        )
    return ""


def _most_tokens(paths: Iterable[Path]) -> int:
    told = []
    for path in paths:
        with suppress(StatisticsError):  # a damaged file is a finding of its own
            told.append(metadata_of(path).get("tokens", ""))
    return max((int(tokens) for tokens in told if tokens.isdigit()), default=0)


def _fresh(model: LanguageModel, corpus: Corpus, layers: Sequence[int], seen: int) -> dict[int, Tensor]:
    """The mean `k k^T` `(f, f)` of tokens behind the first `seen` ones of a corpus, or of its first where it ends."""
    limit = row_limit(model)
    rows = _taken(rows_of(model.tokenizer, corpus.texts(), limit), seen)
    rows = rows or _taken(rows_of(model.tokenizer, corpus.texts(), limit), 0)
    sums = {layer: Gram(model.f) for layer in layers}
    counted = sum_keys(model, rows, sums, BATCH_TOKENS)
    return {layer: total.matrix() / counted for layer, total in sums.items()} if counted else {}


def _taken(stream: Iterable[tuple[str, list[Row]]], skip: int) -> list[Row]:
    taken: list[Row] = []
    passed = count = 0
    for row in (row for _, rows in stream for row in rows):
        if passed >= skip:
            taken.append(row)
            count += len(row.ids)
        passed += len(row.ids)
        if count >= SAMPLE:
            break
    return taken


def _size(moment: SecondMoment, found: Spectrum, fresh: Tensor) -> float:
    """Mean of `k^T C_damped^-1 k = trace(C_damped^-1 k k^T)` over the sample, over its expectation."""
    lower, info = torch.linalg.cholesky_ex(moment.damped(DAMPING))
    if int(info) != 0:
        return math.nan
    return float(torch.cholesky_solve(fresh, lower).trace()) / found.freedom
