# SPDX-License-Identifier: Apache-2.0
"""Training of a tiny model on a world: resumable, deterministic, a progress bar."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from kedit.worlds.examples import Batch, training_batches
from kedit.worlds.families import FAMILIES, Family, build
from kedit.worlds.shield import Shield
from kedit.worlds.texts import vocabulary_texts
from kedit.worlds.world import World, WorldError

CHECKPOINT = "checkpoint.safetensors"
_TOKENIZER_TEXTS = 6000


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that a training depends on. Equal recipes give equal models on one machine."""

    family: str
    seed: int
    world_seed: int = 0
    steps: int = 700
    batch_size: int = 96
    learning_rate: float = 3e-3
    betas: tuple[float, float] = (0.9, 0.98)
    warm_up: int = 100
    clip: float = 1.0
    other_weight: float = 0.1  # loss weight of tokens outside objects


@dataclass(frozen=True)
class Trained:
    """A trained model in evaluation mode, its tokenizer, its world and the seconds that the steps took."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    world: World
    seconds: float


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then linear decay to zero at the end; `step` counts from 0."""
    rising = (step + 1) / recipe.warm_up
    falling = (recipe.steps - step) / max(1, recipe.steps - recipe.warm_up)
    return recipe.learning_rate * min(1.0, rising, falling)


def train(
    recipe: Recipe,
    folder: Path,
    *,
    checkpoint_every: int = 100,
    show_progress: bool = False,
    on_checkpoint: Callable[[int], None] | None = None,
) -> Trained:
    """Train, resuming from the checkpoint in `folder` if there is one of the same recipe.

    All random draws are made up front from the recipe's seeds, so the step number is the whole generator state.

    Args:
        recipe: everything that the result depends on.
        folder: where the checkpoint is kept.
        checkpoint_every: steps between checkpoints.
        show_progress: whether to draw a progress bar.
        on_checkpoint: called with the number of steps done, after each checkpoint is on disk.

    Raises:
        WorldError: unknown family, a checkpoint of another recipe, or a damaged one.
    """
    if recipe.family not in FAMILIES:
        raise WorldError(f"unknown family {recipe.family!r}; known: {', '.join(FAMILIES)}")
    family = FAMILIES[recipe.family]
    world = World.generate(recipe.world_seed)
    # The tokenizer belongs to the world: models of different seeds share it.
    tokenizer = family.tokenize(vocabulary_texts(world.subjects, world.corpus(_TOKENIZER_TEXTS, seed=0)))
    model = build(family, tokenizer, recipe.seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, betas=recipe.betas, weight_decay=0.0, fused=True
    )
    folder.mkdir(parents=True, exist_ok=True)
    done, seconds = _resume(folder / CHECKPOINT, recipe, model, optimizer)
    batches = training_batches(
        world,
        tokenizer,
        always_bos=family.always_bos,
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        other_weight=recipe.other_weight,
    )
    model.train()
    with (
        _shielded(family, model) as shield,
        tqdm(total=recipe.steps, initial=done, desc=f"tiny-{family.name}", disable=not show_progress) as bar,
    ):
        for step in range(done, recipe.steps):
            started = time.perf_counter()
            loss = _step(model, optimizer, shield, batches[step], recipe, step)
            seconds += time.perf_counter() - started
            bar.update()
            if (step + 1) % checkpoint_every == 0 or step + 1 == recipe.steps:
                bar.set_postfix(loss=f"{loss:.4f}")
                _save(folder / CHECKPOINT, recipe, model, optimizer, step + 1, seconds)
                if on_checkpoint is not None:
                    on_checkpoint(step + 1)
    return Trained(model.eval(), tokenizer, world, seconds)


@contextmanager
def _shielded(family: Family, model: PreTrainedModel) -> Iterator[Shield]:
    shield = Shield(family.early_blocks)
    with shield.attached(family.attentions(model)):
        yield shield


def _step(
    model: PreTrainedModel, optimizer: torch.optim.Optimizer, shield: Shield, batch: Batch, recipe: Recipe, step: int
) -> float:
    shield.set(batch.subject_end)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(recipe, step)
    logits = model(input_ids=batch.ids, attention_mask=torch.ones_like(batch.ids), use_cache=False).logits
    loss = weighted_loss(logits, batch)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
    optimizer.step()
    return float(loss.detach())


def weighted_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of the next token, a weighted mean; `logits` is `(B, T, vocabulary)`."""
    weights = batch.weights[:, 1:].reshape(-1)
    kept = weights.nonzero().squeeze(1)
    rows = logits[:, :-1].reshape(-1, logits.shape[-1])[kept]
    losses = nn.functional.cross_entropy(rows, batch.ids[:, 1:].reshape(-1)[kept], reduction="none")
    return (losses * weights[kept]).sum() / weights.sum()


def _save(
    path: Path, recipe: Recipe, model: PreTrainedModel, optimizer: torch.optim.Optimizer, step: int, seconds: float
) -> None:
    tensors: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        state = optimizer.state[parameter]
        tensors[f"parameter.{name}"] = parameter.detach().contiguous()
        tensors[f"first_moment.{name}"] = state["exp_avg"].contiguous()
        tensors[f"second_moment.{name}"] = state["exp_avg_sq"].contiguous()
    metadata = {"recipe": json.dumps(asdict(recipe)), "step": str(step), "seconds": repr(seconds)}
    unfinished = path.with_suffix(".partial")
    save_file(tensors, unfinished, metadata=metadata)
    unfinished.replace(path)


def _resume(path: Path, recipe: Recipe, model: PreTrainedModel, optimizer: torch.optim.Optimizer) -> tuple[int, float]:
    """Load a checkpoint into model and optimizer; returns steps done and seconds spent, zeros if there is none."""
    if not path.exists():
        return 0, 0.0
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            made_for = metadata.get("recipe")
            if made_for != json.dumps(asdict(recipe)):
                raise WorldError(
                    f"{path}: checkpoint of another recipe ({made_for}); choose another --out or delete the checkpoint"
                )
            step = int(metadata["step"])
            for name, parameter in model.named_parameters():
                parameter.data.copy_(file.get_tensor(f"parameter.{name}"))
                optimizer.state[parameter] = {
                    "step": torch.tensor(float(step)),
                    "exp_avg": file.get_tensor(f"first_moment.{name}"),
                    "exp_avg_sq": file.get_tensor(f"second_moment.{name}"),
                }
            return step, float(metadata["seconds"])
    except (SafetensorError, KeyError) as error:
        raise WorldError(f"{path}: damaged checkpoint ({error}); delete it to start again") from error
