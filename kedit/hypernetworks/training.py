# SPDX-License-Identifier: Apache-2.0
"""Training of a hypernetwork on any stream of examples: deterministic, resumable, a progress bar."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from kedit.files import write_atomically
from kedit.hypernetworks.factors import mlp_matrices
from kedit.hypernetworks.objective import Example, losses
from kedit.hypernetworks.transform import HyperNetwork, HypernetworkError
from kedit.models.language_model import LanguageModel

__all__ = ["Recipe", "Trained", "train"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that a training depends on, but for the model and the examples.

    Attributes:
        layers: blocks whose MLP weights are edited.
        rank, depth: rank and number of the low-rank layers.
        rate: every matrix's rate at the start.
        steps: optimiser steps.
        learning_rate, rate_learning_rate: Adam's step sizes for the transforms and for the rates; both fall linearly
            to zero.
        edit_weight, locality_weight: weights of the two losses (paper: 0.1 and 1).
        clip: largest norm of a step's gradient.
        validate_every: steps between validations; the network with the lowest total loss is kept.
        seed: seed of the network's start and of the examples.
    """

    layers: tuple[int, ...]
    rank: int = 64
    depth: int = 2
    rate: float = 1e-3
    steps: int = 800
    learning_rate: float = 3e-3
    rate_learning_rate: float = 3e-4
    edit_weight: float = 0.1
    locality_weight: float = 1.0
    clip: float = 100.0
    validate_every: int = 50
    seed: int = 0


@dataclass
class Trained:
    """A training as it stands: the network, steps done, and the best network so far with its validation losses."""

    network: HyperNetwork
    step: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    best_step: int = 0
    best_loss: float = float("inf")

    def best_network(self) -> HyperNetwork:
        """The network with the lowest validation loss, fixed."""
        self.network.load_state_dict(self.best)
        return self.network.requires_grad_(False)


def train(
    model: LanguageModel,
    recipe: Recipe,
    draw: Callable[[int], Sequence[Example]],
    validation: Sequence[Example],
    checkpoint: Path,
    *,
    label: str = "",
    checkpoint_every: int = 100,
    show_progress: bool = False,
    on_checkpoint: Callable[[int], None] | None = None,
) -> Trained:
    """Train, resuming from `checkpoint` if it is there.

    The examples of a step depend on its number alone, so the number is the whole generator state.

    Args:
        model: the unedited model.
        recipe: everything else that the result depends on.
        draw: the examples of step `i`; equal numbers must give equal examples.
        validation: examples on which the best network is chosen.
        checkpoint: a safetensors file; it is written again and again and left at the end.
        label: what the examples are; a checkpoint of other ones is refused.
        checkpoint_every: steps between checkpoints.
        show_progress: whether to draw a progress bar.
        on_checkpoint: called with the number of steps done, after each checkpoint is on disk.

    Raises:
        HypernetworkError: a checkpoint of another recipe or model, or a damaged one; a loss that is not finite.
    """
    made_of = json.dumps({"recipe": asdict(recipe), "origin": model.origin, "examples": label}, sort_keys=True)
    matrices = mlp_matrices(model, recipe.layers)
    network = HyperNetwork(matrices, rank=recipe.rank, depth=recipe.depth, rate=recipe.rate, seed=recipe.seed)
    network.to(model.device)
    adam = torch.optim.Adam([{"params": network.others()}, {"params": network.rates()}], lr=recipe.learning_rate)
    done = _resume(checkpoint, made_of, network, adam)
    with (
        model.frozen(),
        tqdm(total=recipe.steps, initial=done.step, desc=model.name, disable=not show_progress) as bar,
    ):
        for step in range(done.step, recipe.steps):
            _step(network, adam, model, recipe, draw(step), step)
            done.step = step + 1
            bar.update()
            last = done.step == recipe.steps
            if done.step % recipe.validate_every == 0 or last:
                bar.set_postfix_str(_validate(done, model, recipe, validation))
            if done.step % checkpoint_every == 0 or last:
                _save(checkpoint, made_of, done, adam)
                if on_checkpoint is not None:
                    on_checkpoint(done.step)
    return done


def _step(
    network: HyperNetwork,
    adam: torch.optim.Optimizer,
    model: LanguageModel,
    recipe: Recipe,
    examples: Sequence[Example],
    step: int,
) -> None:
    left = 1 - step / recipe.steps
    for group, rate in zip(adam.param_groups, (recipe.learning_rate, recipe.rate_learning_rate), strict=True):
        group["lr"] = rate * left
    found = losses(network, model, examples, observe=True)
    total = recipe.edit_weight * found.edit + recipe.locality_weight * found.locality
    if not bool(torch.isfinite(total)):
        raise HypernetworkError(f"the loss of step {step} is {total.item()}; train with smaller learning rates")
    adam.zero_grad(set_to_none=True)
    total.backward()
    nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
    adam.step()


def _validate(done: Trained, model: LanguageModel, recipe: Recipe, examples: Sequence[Example]) -> str:
    with torch.no_grad():
        found = losses(done.network, model, examples, observe=False)
    total = float(recipe.edit_weight * found.edit + recipe.locality_weight * found.locality)
    if total < done.best_loss:
        done.best_loss, done.best_step = total, done.step
        done.best = {name: tensor.clone() for name, tensor in done.network.state_dict().items()}
    return f"edit {float(found.edit):.3f}, locality {float(found.locality):.4f}"


MOMENTS = ("exp_avg", "exp_avg_sq")


def _save(path: Path, made_of: str, done: Trained, adam: torch.optim.Optimizer) -> None:
    tensors = {f"network.{name}": tensor for name, tensor in done.network.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in done.best.items()}
    for name, parameter in done.network.named_parameters():
        tensors |= {f"{moment}.{name}": adam.state[parameter][moment] for moment in MOMENTS}
    standing = {"step": done.step, "best_step": done.best_step, "best_loss": done.best_loss}
    metadata = {"made_of": made_of, "standing": json.dumps(standing)}
    own = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    write_atomically(path, lambda part: save_file(own, part, metadata=metadata))


def _resume(path: Path, made_of: str, network: HyperNetwork, adam: torch.optim.Optimizer) -> Trained:
    if not path.exists():
        return Trained(network)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("made_of") != made_of:
                raise HypernetworkError(
                    f"{path}: checkpoint of another recipe or model ({metadata.get('made_of')}); choose another --out "
                    "or delete the checkpoint"
                )
            standing = json.loads(metadata["standing"])
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- not a dictionary
        network.load_state_dict(_under("network.", stored))
        for name, parameter in network.named_parameters():
            adam.state[parameter] = {moment: stored[f"{moment}.{name}"].to(parameter) for moment in MOMENTS}
            adam.state[parameter]["step"] = torch.tensor(float(standing["step"]))
        return Trained(network, best=_under("best.", stored), **standing)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        if isinstance(error, HypernetworkError):
            raise
        raise HypernetworkError(f"{path}: damaged checkpoint ({error}); delete it to start again") from error


def _under(prefix: str, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in stored.items() if name.startswith(prefix)}
