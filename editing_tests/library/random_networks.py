# SPDX-License-Identifier: Apache-2.0
"""Hypernetworks for random models, with random parameters and statistics: mechanics, not knowledge."""

from __future__ import annotations

from pathlib import Path

import torch

from kedit.facts import Fact, Prompt
from kedit.hypernetworks import HyperNetwork, mlp_matrices, read_factors
from kedit.hypernetworks.storage import save
from kedit.models import LanguageModel

LAYERS = (1, 2)


def fact(subject: str, template: str, target: str) -> Fact:
    return Fact(Prompt.from_template(template, subject), target, "the old one", id=f"{subject} {target}")


def some_facts(n: int) -> list[Fact]:
    """Facts of different lengths, of `n` subjects."""
    templates, targets = ("{} lives in", "{} was born in the year", "{} is"), ("Spain", "2012", "Głogów")
    return [fact(f"Mira Solano {i}", templates[i % 3], targets[i % 2]) for i in range(n)]


def random_network(model: LanguageModel, *, reverse: bool = False, rate: float = 1e-3) -> HyperNetwork:
    """A network with observed statistics and no parameter at its start; `reverse` names the matrices backwards."""
    matrices = mlp_matrices(model, LAYERS)
    if reverse:
        matrices = dict(reversed(matrices.items()))
    network = HyperNetwork(matrices, rank=3, rate=rate)
    with model.frozen():
        network.observe(read_factors(model, some_facts(6), matrices))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for _, parameter in sorted(network.named_parameters()):
            parameter.add_(0.1 * rate * torch.randn(parameter.shape, generator=generator))
    return network.requires_grad_(False)


def weights_file(model: LanguageModel, folder: Path) -> Path:
    """A file with a random network for the model."""
    path = folder / "weights.safetensors"
    save(path, random_network(model), origin=model.origin, card={"model": model.name})
    return path
