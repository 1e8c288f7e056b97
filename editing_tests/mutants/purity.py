# SPDX-License-Identifier: Apache-2.0
"""Editors that leave something behind on the model, the tokenizer or the process."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from editing_tests.mutants.patching import Wrapped


def nothing(_module: nn.Module, _inputs: Any) -> None:
    """A hook that looks and does nothing."""


class HookLeft(Wrapped):
    """A hook stays on the edited layer."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        model.down_projection(0).register_forward_pre_hook(nothing)
        return super().edit(model, facts, state)


class TrainModeLeft(Wrapped):
    """The model is left in training mode."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        found = super().edit(model, facts, state)
        model.module.train()
        return found


class FrozenLeft(Wrapped):
    """Parameters are frozen and stay so."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        model.module.requires_grad_(False)
        return super().edit(model, facts, state)


class GradientsLeft(Wrapped):
    """A gradient stays on the edited weight."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        found = super().edit(model, facts, state)
        weight = model.parameter(model.weight_name(0))
        weight.grad = torch.zeros_like(weight)
        return found


class AppliesWhileEditing(Wrapped):
    """The weights are changed while the edit is computed."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        update.apply(model)
        return update, after


class HalfWritten(Wrapped):
    """Trial weights are written into the model and put back, unless something raises in between."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        weight = model.parameter(model.weight_name(0)).data
        before = weight.clone()
        weight.mul_(1.01)
        found = super().edit(model, facts, state)
        weight.copy_(before)
        return found


class SeedsEverything(Wrapped):
    """The global generator is seeded."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        torch.manual_seed(0)
        return super().edit(model, facts, state)


class PaddingSideLeft(Wrapped):
    """The tokenizer's padding side is turned and stays so."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        model.tokenizer.padding_side = "left" if model.tokenizer.padding_side == "right" else "right"
        return super().edit(model, facts, state)


class GradientsSwitchedOff(Wrapped):
    """Gradients are switched off for the whole process."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        with torch.enable_grad():
            found = super().edit(model, facts, state)
        torch.set_grad_enabled(False)
        return found
