# SPDX-License-Identifier: Apache-2.0
"""Speed and memory of edits on a model of full size with random weights, or on any model there is.

    python benchmarks/full_models.py --model gpt-j-6b --device cuda --dtype bfloat16 --out gpt-j-6b.md
    python benchmarks/full_models.py --model tiny-gpt2 --facts 1,10,100 --sequence 10,100 --threads 1 --processor

Four questions: seconds an edit, by part, and peak memory; how near the value search is to the fastest matrix product of
the machine; tokens a second of second moments beside a plain forward pass; memory of many single edits one after the
other. Second moments and contexts are at hand before the clock of an edit starts. What is found is written after every
step; a step that fails is named and the next one begun; an interrupt, or `--minutes`, ends the run with what there is.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from measuring import Clock, Memory, Stopwatch, floor_flops, peak_flops, timed

from kedit.editors import Editor, load_editor
from kedit.editors.base import EditorError
from kedit.editors.settings import resolve
from kedit.facts import Fact
from kedit.files import write_atomically
from kedit.gate.inspection import tensor_elements
from kedit.locate_then_edit import pipeline
from kedit.locate_then_edit.keys import SubjectReader
from kedit.locate_then_edit.values import optimise_values
from kedit.models import LanguageModel
from kedit.models.activations import chunks, run
from kedit.models.tokens import Row, collate
from kedit.paths import fixtures_dir
from kedit.statistics.collecting import pass_tokens
from kedit.statistics.gram import Gram, sum_keys
from kedit.statistics.portions import beginning, row_limit, rows_of
from kedit.statistics.second_moments import SecondMoment, corpus_fingerprint
from kedit.worlds.sampling import Sampler
from kedit.worlds.world import World

PARTS = ("values", "keys", "solve", "apply")
SEQUENTIAL = ("d4s", "alphaedit")
PUBLISHED = (
    "MEMIT, GPT-J, 10,000 facts, one A6000",
    {"values": 2.3547, "keys, solve and apply": 0.3226, "all": 2.6773},
    "Meng et al. 2022b, appendix B.4: 26,773 s, of which 23,547 s (88 %) are the value searches, one after the other",
)


@dataclass
class Batch:
    """One edit call: seconds an edit by part, peak MiB beyond what was held, share of the ceiling in the search."""

    facts: int
    seconds: dict[str, float]
    peak: float
    utilisation: float


@dataclass
class Series:
    """Single edits in a row: after how many, seconds an edit so far, MiB held, numbers in the editor's state."""

    editor: str
    edits: int
    seconds: float
    held: float
    state: int


@dataclass
class Found:
    """All that is known so far."""

    model: str
    machine: str
    editor: str
    ceiling: float
    weights: float
    statistics: dict[str, float] = field(default_factory=dict)
    batches: list[Batch] = field(default_factory=list)
    sequences: list[Series] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@contextmanager
def watched(watch: Stopwatch) -> Iterator[list[Callable[[], float]]]:
    """While active, the pipeline's parts are timed where it calls them, from outside.

    What comes back counts, call by call, the operations that the value searches needed.
    """
    floors: list[Callable[[], float]] = []
    untyped_spread: Any = pipeline.spread
    optimise, read_both = optimise_values, SubjectReader.read_both

    def values(model: Any, facts: Any, groups: Any, layer: int, contexts: Any, config: Any, **kwargs: Any) -> Any:
        with watch.part("values"):
            found = optimise(model, facts, groups, layer, contexts, config, **kwargs)
        floor = partial(floor_flops, model, facts, groups, layer, contexts, found.updates)
        floors.append(partial(floor, divergence=bool(config.kl)))
        return found

    def keys(self: Any, *args: Any, **kwargs: Any) -> Any:
        with watch.part("keys"):
            return read_both(self, *args, **kwargs)

    def spreading(*args: Any, **kwargs: Any) -> Any:
        def solving(problem: Any) -> Any:
            with watch.part("solve"):
                return args[-1](problem)

        return untyped_spread(*args[:-1], solving, **kwargs)

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(pipeline, "optimise_values", values))
        stack.enter_context(mock.patch.object(pipeline, "spread", spreading))
        stack.enter_context(mock.patch.object(SubjectReader, "read_both", keys))
        yield floors


def batch_of(
    editor: Editor, model: LanguageModel, facts: Sequence[Fact], state: Any, ceiling: float, clock: Clock
) -> Batch:
    """One edit call, applied and taken back."""
    watch, memory = Stopwatch(clock), Memory(clock.device)
    memory.forget_peak()
    held = memory.now()
    with watched(watch) as floors:
        whole, (update, _) = timed(lambda: editor.edit(model, facts, state), clock)
        with watch.part("apply"):
            snapshot = update.apply(model)
    peak = memory.peak() - held
    snapshot.restore(model)
    seconds = {name: watch.seconds[name] / len(facts) for name in PARTS}
    seconds["all"] = whole / len(facts) + seconds["apply"]
    seconds["rest"] = seconds["all"] - sum(seconds[name] for name in PARTS)
    searched = watch.seconds["values"]
    needed = sum(floor() for floor in floors)
    return Batch(len(facts), seconds, peak, needed / searched / ceiling if searched else 0.0)


def statistics_of(
    model: LanguageModel, layers: Sequence[int], clock: Clock
) -> tuple[dict[str, float], dict[int, SecondMoment]]:
    """Tokens a second of the sums that `kedit statistics collect` makes and of the plain forward pass over the same
    rows, in chunks of the same size, and the second moments."""
    fingerprint, _ = timed(model.fingerprint, clock)
    cut = rows_of(model.tokenizer, filter(None, model.corpus), row_limit(model))
    rows, budget = [row for _, pieces in cut for row in pieces], pass_tokens(model)
    sums = {layer: Gram(model.f) for layer in layers}

    def plainly(given: Sequence[Row]) -> None:
        with torch.no_grad(), model.frozen():
            for part in chunks([len(row.ids) for row in given], budget):
                run(model, collate([given[i] for i in part], device=model.device), use_cache=False)

    largest = [rows[i] for i in chunks([len(row.ids) for row in rows], budget)[-1]]
    plainly(largest)
    sum_keys(model, largest, sums, budget)
    for gram in sums.values():
        for strip in gram.strips:
            strip.zero_()
    forward, _ = timed(lambda: plainly(rows), clock)
    collection, tokens = timed(lambda: sum_keys(model, rows, sums, budget), clock)
    corpus = corpus_fingerprint(model.corpus, model.tokenizer)
    moments = {
        layer: SecondMoment(layer, gram.matrix() / tokens, tokens, model.origin, corpus)
        for layer, gram in sums.items()
    }
    found = {"tokens": tokens, "forward": tokens / forward, "collection": tokens / collection}
    return found | {"fingerprint": fingerprint}, moments


def sequence_of(
    editor: Editor,
    model: LanguageModel,
    facts: Sequence[Fact],
    stops: Sequence[int],
    clock: Clock,
    over: Callable[[], bool],
) -> Iterator[Series]:
    """Single edits, each applied before the next, until time is `over`; the weights are put back at the end."""
    memory, seconds, state, first = Memory(clock.device), 0.0, None, None
    try:
        for done in range(1, max(stops) + 1):
            fact = facts[(done - 1) % len(facts)]
            took, (update, state) = timed(partial(editor.edit, model, [fact], state), clock)
            applying, snapshot = timed(partial(update.apply, model), clock)
            first = first or snapshot
            seconds += took + applying
            ends = over()
            if done in stops or ends:
                yield Series(editor.name, done, seconds / done, memory.now(), tensor_elements(state))
            if ends:
                break
    finally:
        if first is not None:
            first.restore(model)


def chosen(name: str, model: LanguageModel) -> tuple[Editor, Sequence[int]]:
    """The editor, with settings of its own where this kind of model has no preset, and the layers it edits."""
    editor: Any = load_editor(name)
    try:
        setting = resolve(editor.settings, model, {}, name=name)
    except EditorError:
        low = model.n_blocks // 4
        stand_ins = {"layers": [low, low + 1], "layer": low, "ridge": 1.0, "threshold": 0.5}
        known = {one.name for one in fields(editor.settings)}
        given = {key: value for key, value in stand_ins.items() if key in known}
        editor = load_editor(name, given)
        setting = resolve(editor.settings, model, given, name=name)
    return editor, tuple(setting.layers) if hasattr(setting, "layers") else (setting.layer,)


def opened(given: argparse.Namespace) -> LanguageModel:
    """The model asked for: a folder, a tiny model, or a full model with random weights."""
    dtype: torch.dtype = getattr(torch, given.dtype)
    for folder in (Path(given.model), fixtures_dir() / "models" / given.model):
        if (folder / "config.json").is_file():
            model = LanguageModel.from_pretrained(folder, dtype=dtype, device=given.device)
            if given.tokens:
                model.corpus = tuple(beginning(model.tokenizer, model.corpus, given.tokens))
            return model
    from kedit.models.full_models import configuration
    from kedit.models.random_weights import key_size, random_model, reduced

    config = configuration(given.model)
    if given.width:
        config = reduced(config, blocks=given.blocks, width=given.width)
    name = f"{given.model}, random weights" + (f", {given.blocks} blocks of {given.width}" if given.width else "")
    tokens = given.tokens or 2 * key_size(config)
    return random_model(config, seed=given.seed, dtype=dtype, device=given.device, name=name, corpus_tokens=tokens)


def machine(clock: Clock) -> str:
    """What the numbers were measured on."""
    if clock.device.startswith("cuda"):
        return f"{torch.cuda.get_device_name(clock.device)}, torch {torch.__version__}"
    seconds = "seconds of the processor" if clock.processor else "seconds of the wall"
    return f"CPU, {torch.get_num_threads()} thread(s), {seconds}, torch {torch.__version__}"


def page(found: Found) -> str:
    """The Markdown of what is known."""
    lines = [
        f"{found.model}; {found.machine}; weights {found.weights:,.0f} MiB, ceiling {found.ceiling / 1e12:.3g} TFLOP/s",
        "",
        f"| {found.editor}, s a fact | values | keys | solve | apply | rest | all | values | utilisation | peak, MiB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in found.batches:
        cells = [f"{one.seconds[name]:.4f}" for name in (*PARTS, "rest", "all")]
        share = one.seconds["values"] / one.seconds["all"]
        lines.append(
            f"| {one.facts} fact{'s' * (one.facts > 1)} | {' | '.join(cells)} | {share:.0%} | {one.utilisation:.0%} | "
            f"+{one.peak:,.0f} |"
        )
    title, published, source = PUBLISHED
    rest = published["keys, solve and apply"]
    lines += [
        f"| published: {title} | {published['values']:.2f} | | | | {rest:.2f} | {published['all']:.2f} | 88% | | |",
        "",
        f"Published: {source}.",
    ]
    if found.statistics:
        told = found.statistics
        told_in_words = (
            f"Second moments: {told['collection']:,.0f} tokens/s, plain forward pass {told['forward']:,.0f} tokens/s "
            f"({told['collection'] / told['forward']:.0%}; {told['tokens']:,.0f} tokens). A fingerprint of all weights "
            f"takes {told['fingerprint']:.2f} s."
        )
        lines += ["", told_in_words]
    if found.sequences:
        lines += ["", "| single edits in a row | s an edit | held, MiB | numbers in the state |", "|---|---|---|---|"]
        lines += [
            f"| {one.editor}, {one.edits} | {one.seconds:.3f} | {one.held:,.0f} | {one.state:,} |"
            for one in found.sequences
        ]
    lines += ["", *found.failures] if found.failures else []
    return "\n".join(lines) + "\n"


def keep(found: Found, path: Path | None) -> None:
    """Write what is known, as JSON or Markdown by the file's name."""
    if path is None:
        return
    text = json.dumps(asdict(found), indent=1) + "\n" if path.suffix == ".json" else page(found)
    write_atomically(path, lambda part: Path(part).write_text(text, encoding="utf-8"))


def say(text: str) -> None:
    """Progress."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def names(text: str) -> list[str]:
    """`d4s,alphaedit` as names."""
    return [one.strip() for one in text.split(",") if one.strip()]


def whole_numbers(text: str) -> list[int]:
    """`1,10` as numbers; nothing for `0` or an empty text."""
    return [int(one) for one in text.split(",") if one.strip() and int(one)]


@contextmanager
def attempted(what: str, found: Found) -> Iterator[None]:
    """Name what fails, such as memory that does not suffice, and go on."""
    try:
        yield
    except Exception as error:
        found.failures.append(f"{what}: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}")
        say(found.failures[-1])


def measured(found: Found, model: LanguageModel, given: argparse.Namespace, clock: Clock) -> Iterator[None]:
    """Fill `found`, one step at a time."""
    world = World.generate(0)
    everything = world.facts()
    sampler = Sampler(world)
    editor, layers = chosen(given.editor, model)
    others = [chosen(name, model) for name in given.sequential if given.sequence]
    ends = time.monotonic() + 60 * given.minutes

    def over() -> bool:
        return bool(given.minutes) and time.monotonic() > ends

    needed = sorted({layer for one in (layers, *(theirs for _, theirs in others)) for layer in one})
    say(f"second moments of layers {', '.join(map(str, needed))}")
    found.statistics, moments = statistics_of(model, needed, clock)
    yield

    def at_hand(_model: Any, asked: Sequence[int], **_kwargs: Any) -> Mapping[int, Any]:
        return {layer: moments[layer] for layer in asked}

    with mock.patch.object(pipeline, "second_moments", at_hand):
        say("warming up")
        _, state = editor.edit(model, everything[:1])
        for n in given.facts:
            if over():
                return
            say(f"{editor.name}, {n} facts")
            facts = sampler.distinct(n, given.seed) if n <= len(world.subjects) else everything[:n]
            with attempted(f"{editor.name}, {n} facts", found):
                found.batches.append(batch_of(editor, model, facts, state, found.ceiling, clock))
            yield
        for one, _ in others:
            if over():
                return
            say(f"{one.name}, up to {max(given.sequence)} single edits")
            with attempted(f"{one.name}, single edits", found):
                for step in sequence_of(one, model, everything, given.sequence, clock, over):
                    found.sequences.append(step)
                    yield
            yield


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny-gpt2", help="a tiny or full model's name, or a folder")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--facts", type=whole_numbers, default=[1, 10, 100, 1000], metavar="N,N,...")
    parser.add_argument("--editor", default="memit", help="those that do not go the pipeline have no parts")
    parser.add_argument("--sequence", type=whole_numbers, default=[10, 100, 1000], metavar="N,N,...; 0 for none")
    parser.add_argument("--sequential", type=names, default=list(SEQUENTIAL), metavar="NAME,NAME,...")
    parser.add_argument("--minutes", type=float, default=0.0, help="begin nothing more after so many; 0 for no end")
    parser.add_argument("--tokens", type=int, default=0, help="of the corpus; all, or two a key dimension")
    parser.add_argument("--blocks", type=int, default=8, help="with --width")
    parser.add_argument("--width", type=int, default=0, help="a full model reduced to this hidden size")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--processor", action="store_true", help="seconds of the processor, for a busy CPU")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="FILE.md or FILE.json")
    given = parser.parse_args(argv)
    if given.threads:
        torch.set_num_threads(given.threads)
    say(f"loading {given.model}")
    model = opened(given)
    weights = sum(p.numel() * p.element_size() for p in model.module.parameters()) / 2**20
    say("the ceiling of the machine")
    clock = Clock(given.device, given.processor)
    ceiling = peak_flops(clock, getattr(torch, given.dtype))
    name = f"{model.name}, {given.dtype}"
    found = Found(name, machine(clock), given.editor, ceiling, weights)
    try:
        for _ in measured(found, model, given, clock):
            keep(found, given.out)
    except KeyboardInterrupt:
        say("interrupted; this is what there is")
    sys.stdout.write(page(found))
    return 1 if found.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
