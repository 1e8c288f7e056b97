# SPDX-License-Identifier: Apache-2.0
"""`kedit statistics`: second moments of keys, collected from a corpus, added up and verified."""

from __future__ import annotations

import math
import sys
import time
from argparse import Namespace
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from kedit.commands.answers import Answer, load_model, plural
from kedit.files import cache_folder
from kedit.models.doubles import doubles
from kedit.models.language_model import LanguageModel
from kedit.probing.layers import EDITOR, preset_layers
from kedit.statistics.collecting import Estimate, collect, estimate, make_plan
from kedit.statistics.corpora import Corpus, open_corpus
from kedit.statistics.errors import StatisticsError
from kedit.statistics.offering import default_folder, offer
from kedit.statistics.second_moments import dtype_option
from kedit.statistics.shards import Plan, merge_alone, read_shard, shard_files
from kedit.statistics.spectrum import DAMPING, Spectrum, spectrum
from kedit.statistics.store import home_of, layers_in, metadata_of
from kedit.statistics.verifying import Finding, verify

__all__ = ["statistics"]

_EVERY = 30.0  # seconds between lines of progress


def statistics(options: Namespace) -> Answer:
    """The command behind the word that follows `statistics`."""
    return {"collect": _collect, "merge": _merge, "verify": _verify}[options.word](options)


def _collect(options: Namespace) -> Answer:
    """Measure one shard; the last one to end adds all of them up."""
    index, shards = _shard(options.shard)
    model = load_model(options.model, options.dtype, options.device)
    corpus = open_corpus(options.corpus)
    layers = _layers(options.layers) or preset_layers(model)
    if layers is None:
        raise StatisticsError(
            f"{EDITOR} has no preset for a model like {model.name}; name layers, such as --layers 3-8 (kedit probe "
            "recommends some)"
        )
    plan = make_plan(model, corpus, layers, tokens=options.tokens, shards=shards)
    folder = Path(options.out) if options.out else default_folder(plan, cache_folder())
    if options.dry_run:
        told = estimate(model, corpus, plan, folder, index=index)
        return Answer({"folder": str(folder), "estimate": asdict(told)}, _estimated(told, plan, folder))
    progress = _Progress()
    try:
        shard = collect(
            model,
            corpus,
            plan,
            folder,
            index=index,
            source=_source(options.model),
            before=lambda told: progress.say(*_estimated(told, plan, folder)),
            after=progress.tell,
        )
    except KeyboardInterrupt:
        return Answer({}, [], f"interrupted; what is measured is in {folder}, the same command goes on from there")
    data: dict[str, Any] = {"folder": str(folder), "shard": asdict(shard)}
    lines = [f"shard {index} of {shards}: {plural(shard.tokens, 'token')} of {corpus.name}, in {folder}"]
    waiting = _unfinished(folder, shards)
    if waiting:
        return Answer(data | {"waiting": waiting}, [*lines, f"not yet there: shards {', '.join(map(str, waiting))}"])
    merge_alone(folder)
    offered = offer(folder, cache_folder())
    answer = _described(folder, offered, model)
    short = sum(read_shard(path).tokens for path in shard_files(folder))
    if short < plan.tokens:
        lines.append(f"the corpus ended after {short} of {plural(plan.tokens, 'token')}")
    return Answer(data | answer.data, [*lines, *answer.lines])


def _merge(options: Namespace) -> Answer:
    folder = Path(options.folder)
    merge_alone(folder, again=True)
    return _described(folder, offer(folder, cache_folder()))


def _verify(options: Namespace) -> Answer:
    folder = Path(options.place)
    if not (layers_in(folder) or shard_files(folder)):
        model = load_model(options.place, options.dtype or _collected_dtype(options.place), options.device)
        home = home_of(model.origin, cache_folder())
        folders = sorted(path for path in home.glob("*") if path.is_dir())
        if not folders:
            raise StatisticsError(
                f"nothing was collected for {model.name} in {model.dtype} ({home}); collect it: "
                f"kedit statistics collect {options.place} --corpus wikitext{dtype_option(model)}"
            )
    else:
        folders = [folder]
        dtype = options.dtype or _word(folder, "dtype") or "float32"
        model = load_model(options.model or _told(folder, "model place"), dtype, options.device)
    data: list[dict[str, Any]] = []
    lines: list[str] = []
    wrong = 0
    for one in folders:
        corpus, unread = _corpus_of(one, options.corpus)
        if unread:
            lines.append(f"{one}: keys are not measured again: {unread}")
        for found in verify(one, model, corpus):
            wrong += bool(found.problem)
            data.append({"file": str(found.path), **{k: v for k, v in asdict(found).items() if k != "path"}})
            lines.append(_finding(found))
    failure = f"{wrong} of {plural(len(data), 'file')} not as it should be" if wrong else ""
    return Answer({"files": data}, lines, failure)


class _Progress:
    """Says on stderr how far a shard is, now and then."""

    def __init__(self) -> None:
        self._told = time.monotonic()
        self._first: tuple[float, int] | None = None

    def say(self, *lines: str) -> None:
        """Write lines."""
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()

    def tell(self, done: int, of: int) -> None:
        """`done` tokens of the stream are behind the shard."""
        now = time.monotonic()
        since, already = self._first = self._first or (now, done)
        if now - self._told >= _EVERY and done > already:
            self._told = now
            self.say(f"{done}/{of} tokens, {_duration((now - since) * (of - done) / (done - already))} left")


def _shard(text: str) -> tuple[int, int]:
    index, sign, shards = text.partition("/")
    if not (sign and index.isdigit() and shards.isdigit() and 1 <= int(index) <= int(shards)):
        raise StatisticsError(f"--shard {text!r} is none; write I/N, such as 1/4")
    return int(index), int(shards)


def _layers(words: list[str]) -> list[int]:
    """`3 4 5` or `3-5`."""
    found: list[int] = []
    for word in words:
        first, sign, last = word.partition("-")
        if not (first.isdigit() and (last.isdigit() and int(first) <= int(last) if sign else True)):
            raise StatisticsError(f"--layers {word!r} is no layer; write numbers or ranges, such as 3-8")
        found += range(int(first), int(last or first) + 1)
    return found


def _source(name: str) -> str:
    """What opens a model again from any folder."""
    return str(Path(name).resolve()) if Path(name).is_dir() else name


def _collected_dtype(name: str) -> str:
    """The dtype in which second moments of a model were collected, if it was one; else float32."""
    collections = [path for path in (cache_folder() / "collected").glob("*/*") if path.is_dir()]
    found = {_word(path, "dtype") for path in collections if _word(path, "model place") == _source(name)} - {""}
    return found.pop() if len(found) == 1 else "float32"


def _unfinished(folder: Path, shards: int) -> list[int]:
    """Numbers of the shards that are not whole in a folder."""
    found = {shard.index for path in shard_files(folder) if (shard := read_shard(path)).is_complete}
    return [index for index in range(1, shards + 1) if index not in found]


def _word(folder: Path, name: str) -> str:
    """What a collection says of itself; nothing if it does not."""
    for path in layers_in(folder).values():
        with suppress(StatisticsError):  # a damaged file is for `verify` to find
            if found := metadata_of(path).get(name):
                return found
    for path in shard_files(folder):
        with suppress(StatisticsError):
            shard = read_shard(path)
            if found := {"model place": shard.source, "corpus place": shard.place, "dtype": shard.dtype}[name]:
                return found
    return ""


def _told(folder: Path, name: str) -> str:
    """The place of the model or of the corpus of a collection."""
    if found := _word(folder, name):
        return found
    raise StatisticsError(f"{folder} does not tell its {name.removesuffix(' place')}; give --{name.split()[0]}")


def _corpus_of(folder: Path, given: str | None) -> tuple[Corpus | None, str]:
    """The corpus of a collection, or why it cannot be opened."""
    if given:
        return open_corpus(given), ""
    try:
        return open_corpus(_told(folder, "corpus place")), ""
    except StatisticsError as error:
        return None, str(error)


def _estimated(told: Estimate, plan: Plan, folder: Path) -> list[str]:
    layers = ", ".join(map(str, plan.layers))
    work = f"{plural(told.tokens, 'token')} of {plan.corpus} for layers {layers}, keys of size {plan.f}"
    room = f"memory: {_size(told.weights)} of weights and {_size(told.memory)} beside them"
    return [
        f"{work}: about {_duration(told.seconds)} at {told.speed:,.0f} tokens a second",
        f"{room}; disk: {_size(told.disk)} in {folder}",
    ]


def _described(folder: Path, offered: Path, model: LanguageModel | None = None) -> Answer:
    """Rank and condition of every layer of a collection, and where editors find it."""
    data, rows = [], []
    for layer, path in layers_in(folder).items():
        matrix = load_file(path)["matrix"]
        found = spectrum(matrix if model is None else matrix.to(doubles(model.weight(layer)[:0]).device))
        tokens = int(metadata_of(path)["tokens"])
        data.append({"layer": layer, "file": str(path), "tokens": tokens, "f": len(matrix), **asdict(found)})
        rows.append(_row(layer, tokens, len(matrix), found))
        if tokens < len(matrix):
            rows.append(f"      {len(matrix) - tokens} tokens are missing for a full rank; editors refuse it")
    head = f"{'layer':>5} {'tokens':>12} {'per dim.':>8} {'rank':>13} {'eff. rank':>9} {'condition':>10} {'damped':>10}"
    note = f"damped: with {DAMPING:g} of the mean eigenvalue added, as MEMIT does"
    place = f"second moments in {folder}" + ("" if offered == folder else f"; editors find them in {offered}")
    return Answer({"layers": data, "offered": str(offered)}, [place, head, *rows, note])


def _row(layer: int, tokens: int, f: int, found: Spectrum) -> str:
    condition = "inf" if math.isinf(found.condition) else f"{found.condition:.2e}"
    rank = f"{found.rank}/{f}"
    return (
        f"{layer:5} {tokens:12,} {tokens / f:8.1f} {rank:>13} {found.effective_rank:9.1f} {condition:>10} "
        f"{found.damped_condition:10.2e}"
    )


def _finding(found: Finding) -> str:
    if found.problem:
        return f"wrong: {found.problem}"
    size = "" if found.size is None else f", keys of a fresh sample have {found.size:.2f} of the size expected"
    return f"right: {found.path}, {plural(found.tokens, 'token')}{size}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
