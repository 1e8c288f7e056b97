# SPDX-License-Identifier: Apache-2.0
"""`python -m kedit.worlds`: a world's records and statistics, training of a tiny model and of MEND's weights for it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from kedit.worlds.world import World, WorldError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status (0 done, 1 refused, 130 interrupted)."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "generate":
            _generate(options.seed, options.out)
        elif options.command == "statistics":
            _statistics(options.seed)
        elif options.command == "train-mend":
            _train_mend(options)
        else:
            _train(options)
    except WorldError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on from the last checkpoint\n")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kedit.worlds", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    generate = commands.add_parser("generate", help="write the records of a world as JSON")
    generate.add_argument("--seed", type=int, default=0)
    generate.add_argument("--out", type=Path, required=True)
    statistics = commands.add_parser("statistics", help="print the tables of a world")
    statistics.add_argument("--seed", type=int, default=0)
    train = commands.add_parser("train", help="train a tiny model on a world, or go on with it")
    train.add_argument("--family", required=True, choices=("gpt2", "gptj", "llama", "qwen2"))
    train.add_argument("--seed", type=int, default=0, help="seed of the training")
    train.add_argument("--world-seed", type=int, default=0, help="seed of the world")
    train.add_argument("--steps", type=int, default=700)
    train.add_argument("--out", type=Path, required=True)
    mend = commands.add_parser("train-mend", help="train MEND's weights for a tiny model, or go on with them")
    mend.add_argument("--model", type=Path, required=True, help="folder of the model")
    mend.add_argument("--out", type=Path, required=True, help="safetensors file of the weights")
    # The gate draws with small seeds.
    mend.add_argument("--seed", type=int, default=900_000, help="seed of the examples and of the network's start")
    mend.add_argument("--steps", type=int, default=800)
    return parser


def _generate(seed: int, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(World.generate(seed).records(), indent=1, ensure_ascii=False)
    out.write_text(text + "\n", encoding="utf-8")


def _statistics(seed: int) -> None:
    from kedit.datasets.statistics import tables

    sys.stdout.write(tables(World.generate(seed).statistics(), "World") + "\n")


def _train(options: argparse.Namespace) -> None:
    # Imported here: the other commands need no torch.
    from kedit.worlds.folders import is_finished, write_folder
    from kedit.worlds.training import Recipe, train

    if is_finished(options.out):
        raise WorldError(f"{options.out} already holds a finished model; choose another --out")
    recipe = Recipe(family=options.family, seed=options.seed, world_seed=options.world_seed, steps=options.steps)
    card = write_folder(options.out, recipe, train(recipe, options.out, show_progress=True))
    recall = card["recall"]
    sys.stdout.write(
        f"{card['name']}: recall {recall['template_0']:.4f} (template 0), {recall['all_templates']:.4f} (all), "
        f"{card['training_seconds']} s\n"
    )


def _train_mend(options: argparse.Namespace) -> None:
    import torch

    from kedit.hypernetworks.transform import HypernetworkError
    from kedit.models.architectures import ModelError
    from kedit.worlds.mend import train_mend

    # Small matrices gain nothing by more threads, and the numbers would depend on how many there are.
    torch.set_num_threads(1)
    try:
        card = train_mend(options.model, options.out, seed=options.seed, steps=options.steps, show_progress=True)
    except (ModelError, HypernetworkError) as error:
        raise WorldError(str(error)) from error
    for half, found in card["measured"].items():
        numbers = ", ".join(f"{name} {found[name]:.3f}" for name in ("ES", "PS", "NS", "EM"))
        sys.stdout.write(f"{options.out}: {half}: {numbers}\n")


if __name__ == "__main__":
    sys.exit(main())
