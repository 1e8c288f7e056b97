# SPDX-License-Identifier: Apache-2.0
"""AlphaEdit (Fang et al. 2025): MEMIT whose change is kept in the null space of preserved keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from kedit.editors.base import EditorError, Tags
from kedit.editors.settings import Configured, LayeredSettings, recorded
from kedit.facts import Fact
from kedit.locate_then_edit.groups import each_alone
from kedit.locate_then_edit.history import FactoredSum, staggered
from kedit.locate_then_edit.pipeline import LayerProblem, Session, Solution, open_session, rewrite
from kedit.locate_then_edit.solvers import NullSpace, null_space
from kedit.models.doubles import doubles
from kedit.models.language_model import LanguageModel
from kedit.updates import LowRank, Update

__all__ = ["AlphaEdit", "AlphaEditSettings", "AlphaEditState"]


@dataclass(frozen=True)
class AlphaEditState:
    """The memory of a session.

    Attributes:
        session: contexts and second moments.
        spaces: layer -> null space of the preserved keys, of the unedited model.
        sums: layer -> `l2 I + sum k k^T` over the keys of all earlier calls, in the basis of the null space, `(q, q)`,
            on the device of the layer's weight.
        l2: what the sums began with.
    """

    session: Session
    spaces: Mapping[int, NullSpace]
    sums: Mapping[int, FactoredSum]
    l2: float


@dataclass(frozen=True, kw_only=True)
class AlphaEditSettings(LayeredSettings):
    """Settings of AlphaEdit, and those of `LayeredSettings`.

    Attributes:
        threshold: directions whose eigenvalue of `C` is below this multiple of the mean eigenvalue count as null. The
            published code takes 0.02 as an absolute bound, which means another rank on every model.
        l2: weight of `|Delta P|^2`; 1 in the paper, 10 in the published code.
    """

    threshold: float
    l2: float = 1.0


class AlphaEdit(Configured[AlphaEditSettings]):
    """Null-space constrained editing; settings as keyword arguments, see `AlphaEditSettings`.

    `Delta = R K^T P (P (K K^T + G) P + l2 I)^{-1} P` with the projector `P` on the null space. Preserved keys keep
    their outputs up to the energy that `threshold` leaves them, earlier edits theirs by `G`. The keys of a call enter
    `G` as they were solved for: a layer's keys do not depend on its own weights, and the lower layers were edited by
    then. The notes tell rank and retained energy, `tr(P C) / tr(C)`, of each layer, and which share of the residual the
    change leaves unreached, `|Delta K - R| / |R|`.
    """

    name = "alphaedit"
    tags = Tags(batch=True, sequential=True, writes_weights=True, keyed=True, needs_statistics=True)
    settings: type[AlphaEditSettings] = AlphaEditSettings

    def edit(
        self, model: LanguageModel, facts: Sequence[Fact], state: AlphaEditState | None = None
    ) -> tuple[Update, AlphaEditState]:
        """One update for the whole batch.

        Raises:
            EditorError: `l2` is not the one that the state began with.
            SolveError: no direction is below the threshold, or `l2` is 0.
        """
        setting = self.begin(model, facts)
        layers = model.check_layers(setting.layers)
        before = state or _start(model, layers, setting)
        if before.l2 != setting.l2:
            raise EditorError(
                f"alphaedit: the state began with l2 {before.l2}, the settings have {setting.l2}; keep the first one, "
                "or begin a session without a state"
            )
        sums = dict(before.sums)
        unreached: dict[int, float] = {}

        def solve(problem: LayerProblem) -> Solution:
            basis = before.spaces[problem.layer].basis.to(problem.keys)
            seen = basis.T @ problem.keys
            earlier = sums[problem.layer].beside(seen)
            left, inside = earlier.ridge(seen, problem.residuals)
            right = basis @ inside
            sums[problem.layer] = earlier.plus(seen)
            missed = left @ (right.T @ problem.keys) - problem.residuals
            unreached[problem.layer] = float(missed.norm() / problem.residuals.norm().clamp(min=1e-300))
            return Solution(LowRank(left, right), None)

        groups = each_alone(model, facts)
        changes, evidence = rewrite(model, facts, groups, layers, before.session, setting.value, solve)
        notes = {
            f"null space of layer {layer}": {
                "rank": space.basis.shape[1],
                "energy": space.energy,
                "unreached": unreached[layer],
            }
            for layer, space in before.spaces.items()
        }
        update = recorded(self.name, model, facts, changes, setting, evidence, notes=notes)
        return update, AlphaEditState(before.session, before.spaces, sums, before.l2)


def _start(model: LanguageModel, layers: Sequence[int], setting: AlphaEditSettings) -> AlphaEditState:
    session = open_session(model, layers, setting.contexts)

    def split() -> dict[int, NullSpace]:
        # Found and kept on the device of the weight: every call needs it there.
        devices = {layer: doubles(model.weight(layer)[:0]).device for layer in layers}
        return {
            layer: null_space(session.moments[layer].matrix.to(device), setting.threshold)
            for layer, device in devices.items()
        }

    spaces = model.derived(("null spaces", tuple(layers), setting.threshold, model.corpus), split)
    used = staggered(layers)
    sums = {
        layer: FactoredSum.start(torch.eye(space.basis.shape[1]).to(space.basis), setting.l2, used=used[layer])
        for layer, space in spaces.items()
    }
    return AlphaEditState(session, spaces, sums, setting.l2)
