# SPDX-License-Identifier: Apache-2.0
"""The recipe of MEND's weights for a tiny model: `python -m kedit.worlds train-mend`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from kedit.editors.mend import edit_matrices
from kedit.facts import Fact
from kedit.hypernetworks.storage import save
from kedit.hypernetworks.training import Recipe, train
from kedit.hypernetworks.transform import HyperNetwork
from kedit.metrics import evaluate
from kedit.models.language_model import LanguageModel
from kedit.updates import Update, base_of
from kedit.versions import versions
from kedit.worlds.cards import seeds_of
from kedit.worlds.editing_examples import EditingExamples, halve
from kedit.worlds.entries import Subject
from kedit.worlds.world import World, WorldError

__all__ = ["measure", "train_mend"]

_BLOCKS = 3
_EDITS = 8  # edits a step, each on its own
_VALIDATION = 64
_MEASURED = 50


def train_mend(folder: Path, out: Path, *, seed: int, steps: int, show_progress: bool = False) -> dict[str, Any]:
    """Train MEND's weights for the model in `folder` and write them to `out`; goes on from a checkpoint beside it.

    Edits are those of `EditingExamples` on one half of the world's subjects, in the MLPs of the last three blocks
    (as in the paper).

    Returns:
        The card: recipe, versions, and what single edits of the world's own requests reach on both halves.

    Raises:
        WorldError: `out` is there already.
        ModelError: no model in the folder.
        HypernetworkError: a checkpoint of another recipe, or one that is damaged.
    """
    if out.exists():
        raise WorldError(f"{out} already holds finished weights; choose another --out")
    model = LanguageModel.from_pretrained(folder)
    seeds = seeds_of(folder)
    world_seed = 0 if seeds is None else seeds.world
    world = World.generate(world_seed)
    halves = halve(world, seed)
    examples = EditingExamples(world, halves.seen, seed)
    validation = EditingExamples(world, halves.validation, seed + 1).draw(0, _VALIDATION)
    recipe = Recipe(layers=tuple(range(model.n_blocks))[-_BLOCKS:], steps=steps, seed=seed)
    checkpoint = out.with_name(f"checkpoint.{out.name}")
    trained = train(
        model,
        recipe,
        lambda step: examples.draw(step, _EDITS),
        validation,
        checkpoint,
        label=f"world {world_seed}, {_EDITS} edits a step, {_VALIDATION} for validation",
        show_progress=show_progress,
    )
    network = trained.best_network()
    card = {
        "model": model.name,
        "recipe": asdict(recipe),
        "edits_per_step": _EDITS,
        "world_seed": world_seed,
        "versions": versions("torch", "transformers"),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "best_step": trained.best_step,
        "best_loss": trained.best_loss,
        "measured": {
            "seen subjects": measure(network, model, _requests(world, halves.seen, seed)),
            "unseen subjects": measure(network, model, _requests(world, halves.unseen, seed)),
        },
    }
    save(out, network, origin=model.origin, card=card)
    checkpoint.unlink(missing_ok=True)
    return card


def measure(network: HyperNetwork, model: LanguageModel, facts: Sequence[Fact]) -> dict[str, float]:
    """Means of the metrics over single edits, each of the unedited model; `facts` is their number."""
    copy = model.copy()
    found = []
    for fact in facts:
        changes = edit_matrices(network, copy, [fact])
        snapshot = Update(changes, base_of(copy, changes)).apply(copy)
        found.append(evaluate(copy, [fact]))
        snapshot.restore(copy)
    return {
        "facts": len(found),
        "ES": fmean(one.es for one in found),
        "PS": fmean(one.ps for one in found),
        "NS": fmean(one.ns for one in found),
        "EM": fmean(one.em for one in found),
    }


def _requests(world: World, subjects: Sequence[Subject], seed: int) -> list[Fact]:
    """One of the world's own edit requests of each of some subjects."""
    rng = random.Random(f"kedit editing requests {seed}")
    return [rng.choice(world.facts_of(one)) for one in rng.sample(list(subjects), min(_MEASURED, len(subjects)))]
