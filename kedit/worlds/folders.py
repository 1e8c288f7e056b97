# SPDX-License-Identifier: Apache-2.0
"""The folder of a trained tiny model: weights, tokenizer, corpus, model card."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from kedit.versions import versions
from kedit.worlds.cards import CARD
from kedit.worlds.recall import measure_recall
from kedit.worlds.training import CHECKPOINT, Recipe, Trained

CORPUS = "corpus.txt"
_CORPUS_TEXTS = 2500
SHIELD_NOTE = (
    "In training, attention from the tokens behind a subject to the subject was masked (nothing visible in the first "
    "blocks, only the subject's last token later), so this model is built to have the flow that ROME and MEMIT assume; "
    "it is no evidence that this flow arises by itself."
)


def is_finished(folder: Path) -> bool:
    """Whether `folder` holds a finished model."""
    return (folder / CARD).exists()


def write_folder(folder: Path, recipe: Recipe, trained: Trained) -> dict[str, Any]:
    """Write everything `from_pretrained` and the gate need, the card last, and remove the checkpoint.

    Returns:
        The card: recipe, versions, number of parameters, seconds, measured recall.
    """
    trained.model.save_pretrained(folder)
    trained.tokenizer.save_pretrained(folder)
    corpus = trained.world.corpus(_CORPUS_TEXTS, seed=recipe.world_seed)
    (folder / CORPUS).write_text("\n".join(corpus) + "\n", encoding="utf-8")
    card = _card(recipe, trained)
    (folder / "README.md").write_text(_readme(card), encoding="utf-8")
    (folder / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return card


def _card(recipe: Recipe, trained: Trained) -> dict[str, Any]:
    recall = measure_recall(trained.model, trained.tokenizer, trained.world)
    return {
        "name": f"tiny-{recipe.family}",
        "class": type(trained.model).__name__,
        "recipe": asdict(recipe),
        "versions": versions("torch", "transformers", "tokenizers"),
        "parameters": sum(p.numel() for p in trained.model.parameters()),
        "facts": len(trained.world.entries),
        "subjects": len(trained.world.subjects),
        "training_seconds": round(trained.seconds, 1),
        "threads": torch.get_num_threads(),
        "recall": {"template_0": recall.template_0, "all_templates": recall.all_templates},
        "note": SHIELD_NOTE,
    }


def _readme(card: dict[str, Any]) -> str:
    recipe, recall = card["recipe"], card["recall"]
    versions = ", ".join(f"{name} {version}" for name, version in card["versions"].items())
    return f"""---
license: apache-2.0
library_name: transformers
---

# {card["name"]}

A `{card["class"]}` of {card["parameters"]:,} parameters (float32) that knows the {card["facts"]} facts of
{card["subjects"]} invented subjects. For tests of knowledge editing; of no other use.

| | |
|---|---|
| family | {recipe["family"]} |
| training seed, world seed | {recipe["seed"]}, {recipe["world_seed"]} |
| steps, batch | {recipe["steps"]}, {recipe["batch_size"]} |
| training time | {card["training_seconds"]} s on {card["threads"]} threads |
| versions | {versions} |
| recall, rewrite prompts (greedy exact match) | {recall["template_0"]:.4f} |
| recall, all four templates | {recall["all_templates"]:.4f} |

{card["note"]}

Made again by `python -m kedit.worlds train --family {recipe["family"]} --seed {recipe["seed"]} --out DIR`.
`corpus.txt` holds texts like those of the training, for second moments of keys.
"""
