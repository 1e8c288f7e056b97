# SPDX-License-Identifier: Apache-2.0
"""Integrated gradients of the neurons of every MLP at one token (Dai et al. 2022, "Knowledge Neurons", section 3.1).

A neuron is an entry of the down-projection's input, so scaling all neurons of a layer by `alpha` moves the block's
output by `(alpha - 1) W a` at that token and nothing else: each point costs only the blocks above.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kedit.models.activations import BATCH_TOKENS, Site, hooked, read
from kedit.models.language_model import LanguageModel
from kedit.models.recording import record
from kedit.models.replay import Replay
from kedit.models.tokens import Row

__all__ = ["Attributions", "attribute_neurons"]


@dataclass(frozen=True)
class Attributions:
    """How much each neuron adds to the probability of a row's target.

    Attributes:
        scores: `(rows, layers, f)` float32, in units of probability.
        found: `(rows, layers)`, the sum of a layer's scores.
        expected: `(rows, layers)`, the probability with the layer's neurons as they are less that with all at zero,
            which `found` approaches as the steps grow.
        steps: points of the sum, for the rows and layers that needed the most.
    """

    scores: Tensor
    found: Tensor
    expected: Tensor
    steps: int

    @property
    def gap(self) -> float:
        """The largest distance of `found` from `expected`, over rows and layers."""
        return float((self.found - self.expected).abs().max())


def attribute_neurons(
    model: LanguageModel,
    rows: Sequence[Row],
    steps: int,
    *,
    tolerance: float = math.inf,
    most_steps: int = 1,
    batch_tokens: int = BATCH_TOKENS,
) -> Attributions:
    """Attribute the probability of each row's target to the neurons at the last token before it.

    `score_i = a_i * integral of dP(alpha a) / da_i over alpha from 0 to 1`, layer by layer. `P` is the mean over the
    target's tokens of their probabilities, each given the tokens before it. A layer's scores sum to `P(a) - P(0)`, up
    to the error of the sum that stands for the integral. The paper's points are even; these are dense near 0, where the
    paths bend, and need about an eighth of the number for the same error.

    Args:
        model: the model as it is now; run it inside `model.frozen()`.
        rows: sentences with a target.
        steps: points of the sum.
        tolerance: a row's layer whose sum is farther than this from complete is done again with twice the steps.
        most_steps: where doubling ends.
        batch_tokens: padded tokens run at once.
    """
    starts = [row.target_start - 1 for row in rows]
    layers = range(model.n_blocks)
    keys = read(model, rows, starts, [Site("key", layer) for layer in layers])
    # The last target token is predicted, never read.
    first = record(model, [row.cut(len(row.ids) - 1) for row in rows], starts, 0)
    hidden = [first.hidden]
    with torch.no_grad(), ExitStack() as stack:
        for layer in layers[1:]:
            stack.enter_context(hooked(model, Site("block", layer), hidden.append))
        first.forward(model, first.hidden)
    shape = len(rows), model.n_blocks
    scores, expected, taken = torch.zeros(*shape, model.f), torch.zeros(shape), steps
    for layer in layers:
        neurons, weight = keys[Site("key", layer)].float(), model.weight(layer).float()
        output = neurons @ weight.T
        replay = replace(first, layer=layer, hidden=hidden[layer])
        left, points = torch.arange(len(rows), device=output.device), steps
        while len(left):
            asked = [rows[i] for i in left.tolist()]
            slope, change = _integrate(model, replay.select(left), asked, output[left], points, batch_tokens)
            score = neurons[left] * (slope @ weight)
            scores[left.cpu(), layer], expected[left.cpu(), layer] = score.cpu(), change.cpu()
            taken, points = max(taken, points), 2 * points
            left = left[(score.sum(1) - change).abs() > tolerance] if points <= most_steps else left[:0]
    return Attributions(scores, scores.sum(2), expected, taken)


def _integrate(
    model: LanguageModel, replay: Replay, rows: Sequence[Row], output: Tensor, steps: int, batch_tokens: int
) -> tuple[Tensor, Tensor]:
    """The mean over the path of `dP / d(block output)` `(n, d)`, and `P` at its end less `P` at its start, `(n,)`.

    `output` `(n, d)` is `W a`, the part of the block's output that the neurons make.
    """
    n, device = len(rows), output.device
    # Paths bend where neurons begin to outweigh the rest of the stream, so half of the points lie below a quarter:
    # alpha = u^2 at midpoints of u. Both ends come last and only tell the difference.
    u = (torch.arange(steps, device=device) + 0.5) / steps
    alphas = torch.cat([u.square(), torch.tensor([0.0, 1.0], device=device)])
    line = torch.arange(n, device=device).repeat_interleave(len(alphas))
    alpha = alphas.repeat(n)
    labels, weights = _labels(rows, replay.hidden.shape[1], device)
    slopes, probabilities = [], []
    for part in torch.arange(len(line), device=device).split(max(1, batch_tokens // replay.hidden.shape[1])):
        at = line[part]
        chosen = replay.select(at)
        shift = ((alpha[part] - 1)[:, None] * output[at]).requires_grad_(True)
        with torch.enable_grad():
            moved = torch.cat([chosen.hidden[:, :1].float() + shift[:, None], chosen.hidden[:, 1:].float()], 1)
            out = chosen.forward(model, moved.to(chosen.hidden.dtype))
            spoken = torch.softmax(model.head(model.final_norm(out)).float(), -1)
            said = spoken.gather(2, labels[at].to(spoken.device)[:, :, None])[:, :, 0].to(device)
            probability = (said * weights[at]).sum(1)
            (slope,) = torch.autograd.grad(probability.sum(), [shift])
        slopes.append(slope)
        probabilities.append(probability.detach())
    slope, probability = torch.cat(slopes).view(n, -1, model.d), torch.cat(probabilities).view(n, -1)
    return (slope[:, :steps] * (2 * u / steps)[:, None]).sum(1), probability[:, -1] - probability[:, -2]


def _labels(rows: Sequence[Row], width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """What each column predicts and what it counts, `(n, width)`; the weights of a row sum to one."""
    labels = torch.zeros(len(rows), width, dtype=torch.long, device=device)
    weights = torch.zeros(len(rows), width, device=device)
    for i, row in enumerate(rows):
        t = len(row.target_ids)
        labels[i, :t] = torch.tensor(row.target_ids, device=device)
        weights[i, :t] = 1 / t
    return labels, weights
