# SPDX-License-Identifier: Apache-2.0
"""The algebra of editors that solve over their whole history."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kedit.gate import Gate, tensor_elements
from kedit.updates import Change

CALLS = 6


class Told:
    """A session of single edits, as its evidence tells it: per layer all keys, all residuals, penalty and change."""

    def __init__(self, gate: Gate) -> None:
        model, state = gate.model, None
        self._base: dict[int, Tensor] = {}
        self._now: dict[int, Tensor] = {}
        keys: dict[int, list[Tensor]] = {}
        residuals: dict[int, list[Tensor]] = {}
        self.state_sizes = []
        for fact in gate.facts.distinct(CALLS, gate.seed):
            update, state = gate.editor.edit(model, [fact], state)
            for layer in update.evidence.layers:
                self._add(update.changes[model.weight_name(layer)], model.weight(layer), layer)
            update.apply(model)
            self.state_sizes.append(tensor_elements(state))
            for layer, evidence in update.evidence.layers.items():
                here = model.weight(layer).device
                keys.setdefault(layer, []).append(evidence.keys.to(here).double())
                residuals.setdefault(layer, []).append(evidence.residuals.to(here).double())
            last = update.evidence.layers
        self._last = last
        self.keys = {layer: torch.cat(parts, dim=1) for layer, parts in keys.items()}
        self.residuals = {layer: torch.cat(parts, dim=1) for layer, parts in residuals.items()}
        self.change = {layer: weight - self._base[layer] for layer, weight in self._now.items()}

    def penalty(self, layer: int) -> Tensor:
        """That of the last call, which is that of every call; a full model's has gigabytes, so none is kept."""
        return self._last[layer].penalty().to(self.keys[layer].device).double()

    def _add(self, change: Change, weight: Tensor, layer: int) -> None:
        """Follow the change as it is declared, so that the rounding of stored weights has no part in it."""
        if layer not in self._now:
            self._base[layer] = self._now[layer] = weight.double().clone()
        exact = getattr(change, "exact", change.new_weight)
        self._now[layer] = exact(self._now[layer]).double()


@pytest.mark.editing_property("mechanism.history-identity", needs=("history", "keyed"))
def test_history_identity(gate: Gate) -> None:
    """After n calls the change is that of one batch solve, (sum r k^T)(P + sum k k^T)^-1, on the same keys and
    residuals, and the state has not grown (D4S, equations 9 to 13)."""
    told = Told(gate)
    worst = 0.0
    for layer, change in told.change.items():
        keys, residuals = told.keys[layer], told.residuals[layer]
        once = torch.linalg.solve(told.penalty(layer) + keys @ keys.T, keys @ residuals.T).T
        worst = max(worst, float((change - once).norm() / once.norm()))
    gate.judge("relative_difference", worst)
    gate.judge("state_growth", told.state_sizes[-1] / told.state_sizes[0], note=f"numbers held: {told.state_sizes}")


@pytest.mark.editing_property("mechanism.history-bound", needs=("history", "keyed"))
def test_history_bound(gate: Gate) -> None:
    """The solution never costs more than doing nothing: sum |D k - r|^2 + tr(D P D^T) is at most sum |r|^2 (the
    objective that D4S, equation 9, minimises, at D = 0)."""
    told = Told(gate)
    worst = 0.0
    for layer, change in told.change.items():
        keys, residuals = told.keys[layer], told.residuals[layer]
        energy = (change @ keys - residuals).square().sum() + (change @ told.penalty(layer) * change).sum()
        worst = max(worst, float(energy / residuals.square().sum()))
    gate.judge("energy_ratio", worst, note="energy of the solution over that of doing nothing, worst layer")
