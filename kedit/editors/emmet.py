# SPDX-License-Identifier: Apache-2.0
"""EMMET (Gupta et al. 2024, "A Unified Framework for Model Editing"): ROME's exact constraint for a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from kedit.editors.base import Tags
from kedit.editors.settings import Configured, LayeredSettings, recorded
from kedit.facts import Fact
from kedit.locate_then_edit.groups import each_alone
from kedit.locate_then_edit.pipeline import LayerProblem, Session, Solution, open_session, rewrite
from kedit.locate_then_edit.solvers import constrained
from kedit.models.language_model import LanguageModel
from kedit.updates import LowRank, Update

__all__ = ["Emmet", "EmmetSettings"]


@dataclass(frozen=True, kw_only=True)
class EmmetSettings(LayeredSettings):
    """Settings of EMMET, and those of `LayeredSettings`.

    Attributes:
        alpha: factor of `C`; without slack it cancels.
        slack: what is added to the diagonal of `K^T (alpha C)^{-1} K`. 0 keeps the constraints exact (paper); above 0
            (0.1 in published code) the method is MEMIT with `lambda = alpha * slack`.
        damping: multiple of `trace(C) / f` added to the diagonal of `C`.
    """

    alpha: float = 1.0
    slack: float = 0.0
    damping: float = 1e-4


class Emmet(Configured[EmmetSettings]):
    """Equality-constrained mass editing; settings as keyword arguments, see `EmmetSettings`.

    `Delta = R (K^T C^{-1} K)^{-1} K^T C^{-1}`, which moves preserved keys least among all changes with `Delta K = R`.
    Equal keys that ask for different values contradict each other; they are met in the mean, and the notes of a call
    without slack tell how many independent constraints there were. The published code adds the slack for more than one
    fact or always.
    """

    name = "emmet"
    tags = Tags(batch=True, sequential=True, writes_weights=True, keyed=True, needs_statistics=True)
    settings: type[EmmetSettings] = EmmetSettings

    def edit(self, model: LanguageModel, facts: Sequence[Fact], state: Session | None = None) -> tuple[Update, Session]:
        """One update for the whole batch; the state is the session's contexts and second moments."""
        setting = self.begin(model, facts)
        layers = model.check_layers(setting.layers)
        session = state or open_session(model, layers, setting.contexts)
        notes: dict[str, int] = {}

        def solve(problem: LayerProblem) -> Solution:
            moment = session.moments[problem.layer]
            factor = moment.factor(setting.damping, problem.keys.device)
            found = constrained(problem.keys, problem.residuals, factor, setting.alpha, setting.slack)
            if not setting.slack:
                notes[f"independent constraints of {len(facts)} in layer {problem.layer}"] = found.rank
            penalty = partial(moment.penalty, setting.damping, setting.alpha * setting.slack) if setting.slack else None
            return Solution(LowRank(found.left, found.right), penalty)

        groups = each_alone(model, facts)
        changes, evidence = rewrite(model, facts, groups, layers, session, setting.value, solve)
        return recorded(self.name, model, facts, changes, setting, evidence, notes=notes), session
