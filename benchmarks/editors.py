# SPDX-License-Identifier: Apache-2.0
"""Seconds an edit and peak memory of every built-in editor at 1, 10 and 100 facts, in one run.

`python benchmarks/editors.py [--model tiny-gpt2] [--editors NAME ...] [--facts 1 10 100] [--threads 1]`

An editor with the tag `batch` gets its facts in one call, any other one by one, each applied before the next. Second
moments, contexts and the like are at hand before the clock starts. Every cell is measured in a fork of one process that
holds the unedited model, so memory is what the edit adds to that. `x` is the time an edit over that of the first one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from tqdm import tqdm
from transformers.utils.logging import disable_progress_bar

from kedit.editors import Editor, editor_names, load_editor
from kedit.facts import Fact
from kedit.models import LanguageModel
from kedit.paths import fixtures_dir
from kedit.worlds.sampling import Sampler
from kedit.worlds.world import World

# Draws from here on are used by no property.
DRAW = 900_000
Cell = tuple[float, float]


def edit(editor: Editor, model: LanguageModel, facts: Sequence[Fact]) -> None:
    """Edit all facts into `model`, in one call if the editor takes batches."""
    state = None
    for batch in [facts] if editor.tags.batch else [[fact] for fact in facts]:
        update, state = editor.edit(model, batch, state)
        update.apply(model)


def measure(editor: Editor, model: LanguageModel, facts: Sequence[Fact], answer: Connection) -> None:
    """Seconds an edit, and MiB beyond what the process has at the start."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    edit(editor, model, facts)
    seconds = time.perf_counter() - start
    answer.send((seconds / len(facts), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))


def in_a_fork(editor: Editor, model: LanguageModel, facts: Sequence[Fact]) -> Cell:
    """What `measure` finds in a process of its own."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=measure, args=(editor, model, facts, there))
    child.start()
    there.close()
    try:
        found: Cell = here.recv()
    except EOFError as error:
        raise SystemExit(f"{editor.name} with {len(facts)} facts ended without a result") from error
    child.join()
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny-gpt2", help="a tiny model's name or a folder")
    parser.add_argument("--editors", nargs="+", default=list(editor_names()), metavar="NAME")
    parser.add_argument("--facts", nargs="+", type=int, default=[1, 10, 100], metavar="N")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    disable_progress_bar()
    folder = Path(given.model)
    if not (folder / "config.json").is_file():
        folder = fixtures_dir() / "models" / given.model
    model, sampler = LanguageModel.from_pretrained(folder), Sampler(World.generate(0))
    facts = sampler.distinct(max(given.facts), DRAW)
    table: dict[str, list[Cell]] = {}
    for name in tqdm(given.editors, unit="editor"):
        editor = load_editor(name)
        editor.edit(model, sampler.distinct(1, DRAW + 1))
        table[name] = [in_a_fork(editor, model, facts[:n]) for n in given.facts]
    heads = [f"{f'{n} facts: ms an edit':>24} {'x':>6} {'MiB':>6}" for n in given.facts]
    sys.stdout.write(f"{folder.name}, {given.threads} thread(s), torch {torch.__version__}\n")
    sys.stdout.write(f"{'editor':12}{''.join(heads)}\n")
    first = table[given.editors[0]]
    for name, cells in table.items():
        texts = [
            f"{1000 * seconds:24.1f} {seconds / yardstick:6.2f} {mib:6.0f}"
            for (seconds, mib), (yardstick, _) in zip(cells, first, strict=True)
        ]
        sys.stdout.write(f"{name:12}{''.join(texts)}\n")


if __name__ == "__main__":
    main()
