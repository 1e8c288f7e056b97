# SPDX-License-Identifier: Apache-2.0
"""Values: the vector at the subject's last token that makes the model say the target.

For each group of facts with one key, find `delta` such that adding it to the output of a block at the subject's last
token makes the targets likely (D4S eq. 3 for one fact; MEMIT-Merge section 4.2 for a group). This is the hot path of
every locate-then-edit method: all groups run together, and converged ones leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from kedit.facts import Fact
from kedit.locate_then_edit.contexts import BARE
from kedit.locate_then_edit.groups import members
from kedit.locate_then_edit.keys import SubjectReader
from kedit.locate_then_edit.value_loss import KLPosition, LossChunk, loss_chunks
from kedit.models.activations import Site
from kedit.models.doubles import doubles
from kedit.models.language_model import LanguageModel

__all__ = ["Place", "ValueConfig", "Values", "optimise_values"]

Place = Literal["block", "value", "attention"]

# Rows whose recorded prefixes are held at once, about 4.5 GiB at GPT-J's size; more groups are searched in turn.
ROWS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueConfig:
    """The value optimisation.

    Attributes:
        steps: Adam updates at most; the loss is looked at once more after the last.
        lr: Adam's step size.
        schedule: `constant`, or `cycle`: `lr` rises from a tenth over the first quarter of the steps and falls back
            over the rest, and `clamp` starts at two fifths and is whole after half of them, so that what is easy is
            found near the start and stays small, and a value for many facts can still move far.
        start: where a group of several facts starts: at `zero` (published), or at the `mean` of the values that its
            facts find alone. From zero the steepest way down first unlearns the old objects, and now and then ends
            where attention ignores the subject and no gradient is left. A fact by itself always starts at zero.
        clamp: `|delta| <= clamp * |base|` after every step.
        kl: weight of `KL(P_delta || P_0)`; in published code only, the papers print the likelihood alone.
        kl_position: where that divergence is taken: `after` the words of "{subject} is a", as the text of the papers
            says, or at the `subject`'s last token, as the published code does.
        weight_decay: weight of `|delta| / |base|^2`, in published code only.
        stop: a group leaves once its loss is below this, in nats.
        keep: return the `best` iterate or the `last` (published).
        chunk_tokens: padded tokens run at once.
    """

    steps: int = 25
    lr: float = 0.1
    schedule: Literal["constant", "cycle"] = "constant"
    start: Literal["zero", "mean"] = "zero"
    clamp: float = 3.0
    kl: float = 0.0625
    kl_position: KLPosition = "after"
    weight_decay: float = 0.0
    stop: float = 0.05
    keep: Literal["best", "last"] = "best"
    chunk_tokens: int = 2048


@dataclass(frozen=True, slots=True)
class Values:
    """The result, one column a group.

    Attributes:
        delta: `(d, G)` float64, what to add at the last place; on the device of the block.
        base: `(d, G)` float64, the output there, for the bare prompt of the group's first fact; likewise.
        loss: `(G,)` float64, the loss of the returned `delta`, in nats.
        updates: `(G,)` int64, optimiser steps taken.
    """

    delta: Tensor
    base: Tensor
    loss: Tensor
    updates: Tensor


def optimise_values(
    model: LanguageModel,
    facts: Sequence[Fact],
    groups: Sequence[int],
    layer: int,
    contexts: Sequence[str],
    config: ValueConfig,
    *,
    places: tuple[Place, ...] = ("block",),
) -> Values:
    """Optimise one `delta` a group, or one for each place, on the model as it is now.

    The loss of a group is the mean over its facts of the mean over contexts of the mean negative log-likelihood a
    target token, plus the KL and decay terms. Groups do not see each other: a fact alone and among others gives the
    same value to rounding.

    Args:
        model: the model; run it inside `model.frozen()`.
        facts: the batch.
        groups: group of each fact, numbered from 0.
        layer: `delta` is added to this block's output at the subject's last token.
        contexts: prefixes, the bare one first.
        config: settings.
        places: where vectors are added, each clamped and decayed against the output there: the output of the `block`
            (MEMIT), the `value` of its MLP (ROME; adding to either is the same in every family of the table), or
            the `attention` and the `value` together (PMET). The others only serve the search of the last one.

    Raises:
        ModelError: two places inside block 0.
    """
    grouped = members(groups)
    turns = _turns(grouped, len(contexts))
    if len(turns) > 1:
        found = [
            optimise_values(
                model,
                [facts[i] for group in turn for i in group],
                [number for number, group in enumerate(turn) for _ in group],
                layer,
                contexts,
                config,
                places=places,
            )
            for turn in turns
        ]
        return Values(
            delta=torch.cat([one.delta for one in found], 1),
            base=torch.cat([one.base for one in found], 1),
            loss=torch.cat([one.loss for one in found]),
            updates=torch.cat([one.updates for one in found]),
        )
    divergence = config.kl_position if config.kl else None
    sites = tuple(Site(place, layer) for place in places)
    work, output = loss_chunks(
        model, facts, grouped, sites, contexts, divergence=divergence, chunk_tokens=config.chunk_tokens
    )
    if places == ("block",):
        base = output[:, None]
    else:
        reader = SubjectReader(model, [facts[group[0]] for group in grouped], (BARE,), "flat")
        read = reader.read(model, bare=sites)
        base = torch.stack([read[site].T for site in sites], dim=1)
    base_norm = base.norm(dim=2).float().to(model.device)

    delta = torch.zeros(base.shape, dtype=torch.float32, device=model.device)
    if config.start == "mean":
        with torch.no_grad():
            for chunk in work:  # the divergence is from the model without any delta, so that is looked at first
                chunk.losses(model, delta, config.kl)
        _start_at_means(delta, model, facts, grouped, layer, contexts, config, places)
    delta.requires_grad_(True)
    n = len(delta)
    adam = torch.optim.Adam([delta], lr=config.lr)
    cycle = _cycle(adam, config) if config.schedule == "cycle" else None
    active = torch.ones(n, dtype=torch.bool, device=model.device)
    kept = torch.zeros_like(delta.detach())
    kept_loss = torch.full((n,), torch.inf, dtype=torch.float32, device=model.device)
    updates = torch.zeros(n, dtype=torch.long)
    for step in range(config.steps + 1):
        last = step == config.steps
        loss = _backward(model, work, delta, base_norm, config, active, last=last)
        better = active & ((loss < kept_loss) | (config.keep == "last"))
        kept = torch.where(better[:, None, None], delta.detach(), kept)
        kept_loss = torch.where(better, loss, kept_loss)
        active &= loss >= config.stop
        if last:
            break
        staying = active.cpu()  # the one wait for the device in a step; all that follows from it is known here
        if not staying.any():
            break
        work = [part for chunk in work if (part := chunk.keep(staying)) is not None]
        adam.step()
        if cycle is not None:
            cycle.step()
        updates += staying
        with torch.no_grad():
            norm = delta.norm(dim=2)
            delta *= (_radius(step, config) * base_norm / norm.clamp(min=1e-12)).clamp(max=1.0)[:, :, None]
    return Values(kept[:, -1].to(base).T, base[:, -1].T, doubles(kept_loss).cpu(), updates)


def _turns(grouped: Sequence[Sequence[int]], n_contexts: int) -> list[list[Sequence[int]]]:
    """The groups in order, in parts of at most `ROWS_AT_ONCE` rows, or of one group."""
    turns: list[list[Sequence[int]]] = []
    rows = 0
    for group in grouped:
        more = len(group) * n_contexts + 1  # and the row of the divergence
        if not turns or rows + more > ROWS_AT_ONCE:
            turns.append([])
            rows = 0
        turns[-1].append(group)
        rows += more
    return turns


def _start_at_means(
    delta: Tensor,
    model: LanguageModel,
    facts: Sequence[Fact],
    grouped: Sequence[Sequence[int]],
    layer: int,
    contexts: Sequence[str],
    config: ValueConfig,
    places: tuple[Place, ...],
) -> None:
    """Start groups of several facts, at the last place, with the mean of the values that these find alone."""
    together = [group for group, fellows in enumerate(grouped) if len(fellows) > 1]
    apart = [i for group in together for i in grouped[group]]
    if not apart:
        return
    own = optimise_values(
        model,
        [facts[i] for i in apart],
        range(len(apart)),
        layer,
        contexts,
        replace(config, start="zero"),
        places=places,
    )
    sizes = [len(grouped[group]) for group in together]
    for group, part in zip(together, own.delta.split(sizes, dim=1), strict=True):
        delta[group, -1] = part.mean(1).to(delta)


def _cycle(adam: torch.optim.Optimizer, config: ValueConfig) -> torch.optim.lr_scheduler.OneCycleLR:
    steps = config.steps + 1
    return torch.optim.lr_scheduler.OneCycleLR(
        adam, config.lr, steps, pct_start=0.25, div_factor=10, final_div_factor=1, cycle_momentum=False
    )


def _radius(step: int, config: ValueConfig) -> float:
    """The clamp in force after the update of `step`."""
    return config.clamp * (min(1.0, 0.4 + 1.2 * step / config.steps) if config.schedule == "cycle" else 1.0)


def _backward(
    model: LanguageModel,
    work: Sequence[LossChunk],
    delta: Tensor,
    base_norm: Tensor,
    config: ValueConfig,
    active: Tensor,
    *,
    last: bool,
) -> Tensor:
    """Loss of each group `(G,)`; leaves its gradient in `delta.grad` unless nobody needs it any more."""
    delta.grad = None
    total = torch.zeros(len(delta), device=delta.device)
    with torch.set_grad_enabled(not last):
        if config.weight_decay:
            size = (delta.square().sum(2) + 1e-24).sqrt() / base_norm.square()
            decay = config.weight_decay * size.sum(1)
            total += decay.detach()
            if not last:
                decay.sum().backward()
        for chunk in work:
            loss = chunk.losses(model, delta, config.kl)
            total += loss.detach()
            # With one chunk the losses are known before its backward pass, which the last look does not need.
            if not last and (len(work) > 1 or bool((active & (total >= config.stop)).any())):
                loss.sum().backward()
    return total
