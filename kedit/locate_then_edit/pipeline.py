# SPDX-License-Identifier: Apache-2.0
"""The pipeline: facts -> groups -> values -> for each layer keys, residuals, solve -> changes.

Nothing here writes to the model: trial weights are swapped in and out, so the model is bit for bit as before whatever
happens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor

from kedit.facts import Fact
from kedit.files import cache_folder
from kedit.locate_then_edit.contexts import ContextConfig, sample_contexts
from kedit.locate_then_edit.keys import SubjectReader
from kedit.locate_then_edit.remarks import remarks
from kedit.locate_then_edit.values import Place, ValueConfig, optimise_values
from kedit.models.activations import Site
from kedit.models.language_model import LanguageModel
from kedit.statistics.second_moments import SecondMoment, second_moments
from kedit.updates import Change, Evidence, LayerEvidence

__all__ = [
    "LayerProblem",
    "Residual",
    "Session",
    "Share",
    "Solution",
    "open_session",
    "rewrite",
    "spread",
    "target_outputs",
]

Residual = Literal["recomputed", "fixed"]
Share = Literal["even", "root"]


@dataclass(frozen=True, slots=True)
class Session:
    """What the calls of one session share: contexts and second moments, both of the unedited model."""

    contexts: tuple[str, ...]
    moments: Mapping[int, SecondMoment]


def open_session(
    model: LanguageModel, layers: Sequence[int], contexts: ContextConfig, *, covariance: bool = True
) -> Session:
    """Sample contexts and fetch second moments for a session that starts on `model`.

    Raises:
        StatisticsError: second moments are needed and cannot be had, or are of too few tokens.
    """

    def start() -> Session:
        folder = cache_folder() if model.stored else None
        moments = second_moments(model, layers, cache=folder) if covariance else {}
        # Not every solver needs a factor that would refuse them, and no value should be searched for in vain.
        for moment in moments.values():
            moment.check_tokens()
        return Session(sample_contexts(model, contexts), moments)

    return model.derived(("session", tuple(layers), contexts, covariance, model.corpus), start)


def target_outputs(
    model: LanguageModel,
    facts: Sequence[Fact],
    groups: tuple[int, ...],
    layer: int,
    session: Session,
    config: ValueConfig,
    *,
    places: tuple[Place, ...] = ("block",),
) -> Tensor:
    """`Z` `(d, n)` float64: the output of the last place in block `layer` wanted at each fact's subject; equal within a
    group."""
    values = optimise_values(model, facts, groups, layer, session.contexts, config, places=places)
    return (values.base + values.delta)[:, list(groups)]


def rewrite(
    model: LanguageModel,
    facts: Sequence[Fact],
    groups: tuple[int, ...],
    layers: Sequence[int],
    session: Session,
    config: ValueConfig,
    solve: Solver,
    *,
    places: tuple[Place, ...] = ("block",),
    residual: Residual = "recomputed",
    share: Share = "even",
) -> tuple[dict[str, Change], Evidence]:
    """The whole way of a batch: the values wanted in the last layer, then what `spread` makes of them."""
    with model.frozen():
        targets = target_outputs(model, facts, groups, layers[-1], session, config, places=places)
        return spread(
            model, facts, groups, targets, layers, session, solve, residual=residual, place=places[-1], share=share
        )


@dataclass(frozen=True, slots=True)
class LayerProblem:
    """One layer's share, on the device of the block: `keys` `(f, n)` and `residuals` `(d, n)`, float64, after the
    spread."""

    layer: int
    keys: Tensor
    residuals: Tensor


@dataclass(frozen=True, slots=True)
class Solution:
    """What a solver makes of it: the change of the layer's weight, and what makes the penalty `lambda C` it used."""

    change: Change
    penalty: Callable[[], Tensor] | None


class Solver(Protocol):
    """Turns one layer's problem into a change."""

    def __call__(self, problem: LayerProblem) -> Solution: ...


def spread(
    model: LanguageModel,
    facts: Sequence[Fact],
    groups: tuple[int, ...],
    targets: Tensor,
    layers: Sequence[int],
    session: Session,
    solve: Solver,
    *,
    residual: Residual = "recomputed",
    place: Place = "block",
    share: Share = "even",
) -> tuple[dict[str, Change], Evidence]:
    """Spread the residual `Z - H` over the layers, lower layers first.

    The layer at position `i` gets `1 / (len(layers) - i)` of the residual at the last layer (`even`), or one over the
    square root of that number (`root`, PMET). It is `recomputed` on the model with the lower layers' trial weights
    (MEMIT), or the one `fixed` before the first layer (D4S eq. 4). Keys are read on the trial model either way.

    Args:
        model: the model, with `swapped` weights if the method works on others than the current ones.
        facts: the batch.
        groups: group of each fact, kept as evidence.
        targets: `Z`, `(d, n)`.
        layers: ascending.
        session: contexts.
        solve: the method's solver.
        residual: see above.
        place: what `Z` is wanted of in the last layer, and `H` read from.
        share: see above.
    """
    reader = SubjectReader(model, facts, session.contexts, "groups")
    output = Site(place, layers[-1])
    trial: dict[str, Tensor] = {}
    changes: dict[str, Change] = {}
    evidence: dict[int, LayerEvidence] = {}
    notes: dict[str, Any] = {}
    fixed: Tensor | None = None
    for i, layer in enumerate(layers):
        key = Site("key", layer)
        with model.swapped(trial):
            mean, plain = reader.read_both(model, averaged=[key], bare=[output] if i else [output, key])
        if not i:  # later layers read what the lower ones' changes make of the keys
            notes = remarks(facts, groups, mean[key], plain[key], session.moments)
        gap = targets.to(plain[output].device) - plain[output]
        fixed = gap if fixed is None else fixed
        left = len(layers) - i
        part = (gap if residual == "recomputed" else fixed) / (left if share == "even" else math.sqrt(left))
        part = part.to(mean[key].device)  # blocks may be on several devices
        solution = solve(LayerProblem(layer, mean[key], part))
        name = model.weight_name(layer)
        changes[name] = solution.change
        trial[name] = solution.change.new_weight(model.weight(layer))
        evidence[layer] = LayerEvidence(mean[key].cpu(), part.cpu(), solution.penalty)
    return changes, Evidence(evidence, targets.cpu(), groups, notes)
