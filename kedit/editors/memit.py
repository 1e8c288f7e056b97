# SPDX-License-Identifier: Apache-2.0
"""MEMIT and MEMIT-Merge.

MEMIT (Meng et al. 2022b, as restated in MEMIT-Merge section 3.1 and D4S eq. 5): one value a fact at the last edited
layer, its residual spread evenly over the layers, each solved by least squares against `lambda C`. MEMIT-Merge (section
4.2) differs in one part: facts with one key share one value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from kedit.editors.base import Tags
from kedit.editors.settings import Configured, LayeredSettings, recorded
from kedit.facts import Fact
from kedit.locate_then_edit.groups import each_alone, equal_keys
from kedit.locate_then_edit.pipeline import LayerProblem, Session, Share, Solution, open_session, rewrite
from kedit.locate_then_edit.solvers import ridge
from kedit.locate_then_edit.values import Place
from kedit.models.language_model import LanguageModel
from kedit.updates import LowRank, Update

__all__ = ["Memit", "MemitMerge", "MemitSettings"]


@dataclass(frozen=True, kw_only=True)
class MemitSettings(LayeredSettings):
    """Settings of MEMIT and MEMIT-Merge, and those of `LayeredSettings`.

    Attributes:
        ridge: `lambda / f`; published 0.92 (GPT-J) and 3.1 (GPT-2 XL).
        damping: multiple of `trace(C) / f` added to the diagonal of `C`.
    """

    ridge: float
    damping: float = 1e-4


class Memit(Configured[MemitSettings]):
    """Mass-editing memory in a transformer; settings as keyword arguments, see `MemitSettings`.

    Where text and published code part: the KL term, the decay and the stop of the value loss are in the code only and
    are options of `value`; the share of a layer is one over the number of remaining edited layers, as in the code.
    """

    name = "memit"
    tags = Tags(batch=True, sequential=True, writes_weights=True, keyed=True, needs_statistics=True)
    settings: type[MemitSettings] = MemitSettings
    places: tuple[Place, ...] = ("block",)
    share: Share = "even"

    def groups(self, model: LanguageModel, facts: Sequence[Fact]) -> tuple[int, ...]:
        """Which facts share one value: none."""
        return each_alone(model, facts)

    def edit(self, model: LanguageModel, facts: Sequence[Fact], state: Session | None = None) -> tuple[Update, Session]:
        """One update for the whole batch; the state is the session's contexts and second moments."""
        return self.rewritten(model, facts, self.begin(model, facts), state)

    def rewritten(
        self, model: LanguageModel, facts: Sequence[Fact], setting: MemitSettings, state: Session | None
    ) -> tuple[Update, Session]:
        """The edit of a checked batch with complete settings."""
        layers = model.check_layers(setting.layers)
        session = state or open_session(model, layers, setting.contexts)
        strength = setting.ridge * model.f

        def solve(problem: LayerProblem) -> Solution:
            moment = session.moments[problem.layer]
            factor = moment.factor(setting.damping, problem.keys.device)
            left, right = ridge(problem.keys, problem.residuals, factor, strength)
            return Solution(LowRank(left, right), partial(moment.penalty, setting.damping, strength))

        changes, evidence = rewrite(
            model,
            facts,
            self.groups(model, facts),
            layers,
            session,
            setting.value,
            solve,
            places=self.places,
            share=self.share,
        )
        return recorded(self.name, model, facts, changes, setting, evidence), session


class MemitMerge(Memit):
    """MEMIT with one value for all facts of a group with one key (MEMIT-Merge section 4.2).

    The paper groups by subject; here a group is one token prefix up to the subject's last token, because that is what
    makes keys equal (its own appendix B measures a key distance of 10.5 for one subject behind two kinds of words). The
    loss is the mean over the group's facts, and every fact keeps its column in the solve.
    """

    name = "memit-merge"
    tags = replace(Memit.tags, grouped=True)

    def groups(self, model: LanguageModel, facts: Sequence[Fact]) -> tuple[int, ...]:
        """Which facts share one value: those with one key."""
        return equal_keys(model, facts)
