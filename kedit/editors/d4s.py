# SPDX-License-Identifier: Apache-2.0
"""D4S, Dump for Sequence (Huang et al. 2024, section 4.3).

Every edit adds to two sums a layer, `S = sum r k^T` and `G = sum k k^T`; the update is the least-squares solution over
the whole history, `Delta = S (lambda C + G)^{-1}` (eq. 9 to 13), laid on the weights of before the first edit. The sums
are kept as `locate_then_edit.history` has them, so that a call need not factor them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import Tensor

from kedit.editors.base import EditorError, Tags
from kedit.editors.memit import MemitSettings
from kedit.editors.settings import Configured, recorded
from kedit.facts import Fact
from kedit.locate_then_edit.groups import each_alone
from kedit.locate_then_edit.history import FactoredSum, History, staggered
from kedit.locate_then_edit.pipeline import LayerProblem, Residual, Session, Solution, open_session, rewrite
from kedit.models.doubles import doubles
from kedit.models.language_model import LanguageModel
from kedit.updates import Rebuilt, Update

__all__ = ["D4S", "D4SSettings", "D4SState"]


@dataclass(frozen=True)
class D4SState:
    """The memory of a session; its size does not depend on the number of edits.

    Attributes:
        session: contexts and second moments.
        base: parameter name -> weight `(d, f)` before the first edit.
        history: layer -> both sums, with residuals after the spread, on the device of the layer's weight.
        penalty: `ridge` and `damping` of the `lambda C` that the sums began with.
        count: facts so far.
    """

    session: Session
    base: Mapping[str, Tensor]
    history: Mapping[int, History]
    penalty: tuple[float, float]
    count: int


@dataclass(frozen=True, kw_only=True)
class D4SSettings(MemitSettings):
    """Settings of D4S, and those of MEMIT.

    Attributes:
        residual: `fixed` before the first layer (eq. 4), or `recomputed` at every layer as in MEMIT.
        ground: the weights on which values, residuals and keys are found: those of the `base`, or the `current` ones,
            which carry all earlier edits.
    """

    residual: Residual = "fixed"
    ground: Literal["base", "current"] = "base"


class D4S(Configured[D4SSettings]):
    """Sequence editing as one growing batch, in constant memory; settings as keyword arguments, see `D4SSettings`.

    Where text and published code part: both mean `W0 + Delta`, eq. 5 read literally would add the history again at
    each step. Values and residuals are computed on the base weights, as the published driver does and eq. 10 to 13
    need (`ground`); keys of a later layer are read with the lower layers' total update and are not refreshed.
    """

    name = "d4s"
    tags = Tags(batch=True, sequential=True, writes_weights=True, keyed=True, history=True, needs_statistics=True)
    settings: type[D4SSettings] = D4SSettings

    def edit(
        self, model: LanguageModel, facts: Sequence[Fact], state: D4SState | None = None
    ) -> tuple[Update, D4SState]:
        """An update that rebuilds the edited weights from the base and all facts so far.

        Raises:
            EditorError: `ridge` or `damping` are not those that the state began with.
            SolveError: `ridge` is 0.
            StatisticsError: a second moment is rank-deficient.
        """
        setting = self.begin(model, facts)
        layers = model.check_layers(setting.layers)
        before = state or self._start(model, layers, setting)
        if before.penalty != (setting.ridge, setting.damping):
            raise EditorError(
                f"d4s: the state began with ridge {before.penalty[0]} and damping {before.penalty[1]}, the settings "
                f"have {setting.ridge} and {setting.damping}; keep the first ones, or begin a session without a state"
            )
        history = dict(before.history)

        def solve(problem: LayerProblem) -> Solution:
            layer = problem.layer
            delta, history[layer] = history[layer].plus(problem.keys, problem.residuals)
            penalty = partial(before.session.moments[layer].penalty, setting.damping, setting.ridge * model.f)
            return Solution(Rebuilt(before.base[model.weight_name(layer)], delta.float()), penalty)

        with model.swapped(before.base if setting.ground == "base" else {}):
            changes, evidence = rewrite(
                model,
                facts,
                each_alone(model, facts),
                layers,
                before.session,
                setting.value,
                solve,
                residual=setting.residual,
            )
        update = recorded(self.name, model, facts, changes, setting, evidence)
        return update, D4SState(before.session, before.base, history, before.penalty, before.count + len(facts))

    @staticmethod
    def _start(model: LanguageModel, layers: Sequence[int], setting: D4SSettings) -> D4SState:
        session = open_session(model, layers, setting.contexts)
        used = staggered(layers)

        def begun(layer: int) -> History:
            device = doubles(model.weight(layer)[:0]).device
            factor = session.moments[layer].factor(setting.damping, device).to(device)
            return History.start(FactoredSum.start(factor, setting.ridge * model.f, used=used[layer]), model.d)

        return D4SState(
            session=session,
            base={model.weight_name(layer): model.weight(layer).clone() for layer in layers},
            history={layer: begun(layer) for layer in layers},
            penalty=(setting.ridge, setting.damping),
            count=0,
        )
