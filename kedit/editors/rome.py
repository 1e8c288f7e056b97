# SPDX-License-Identifier: Apache-2.0
"""ROME (Meng et al. 2022a): one fact, one layer, one exact constraint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from kedit.editors.base import Tags
from kedit.editors.settings import Configured, recorded
from kedit.facts import Fact
from kedit.locate_then_edit.contexts import ContextConfig
from kedit.locate_then_edit.keys import SubjectReader
from kedit.locate_then_edit.pipeline import Session, open_session
from kedit.locate_then_edit.remarks import remarks
from kedit.locate_then_edit.solvers import rank_one
from kedit.locate_then_edit.values import ValueConfig, optimise_values
from kedit.models.activations import Site
from kedit.models.language_model import LanguageModel
from kedit.updates import Evidence, LayerEvidence, LowRank, Update

__all__ = ["Rome", "RomeSettings"]


@dataclass(frozen=True, kw_only=True)
class RomeSettings:
    """Settings of ROME.

    Attributes:
        layer: the edited block.
        keys: `averaged` over contexts as in the paper, `mixed` as in the published code, or those of the `bare` prompt.
        covariance: False takes the identity for `C`.
        damping: multiple of `trace(C) / f` added to the diagonal of `C`.
        value: the value optimisation.
        contexts: the sampled prefixes.
    """

    layer: int
    keys: Literal["averaged", "mixed", "bare"] = "averaged"
    covariance: bool = True
    damping: float = 1e-4
    value: ValueConfig = field(default_factory=ValueConfig)
    contexts: ContextConfig = field(default_factory=ContextConfig)


class Rome(Configured[RomeSettings]):
    """Rank-one model editing; settings as keyword arguments, see `RomeSettings`.

    `Delta = (v* - W k*) (C^{-1} k*)^T / (k*^T C^{-1} k*)`, so that `(W + Delta) k* = v*`.

    Where text and published code part: the paper has one `k*`, the mean over contexts; the published code takes the
    mean for the direction and the bare prompt's key for the constraint, whose product is not guaranteed to be positive
    or large. `keys` chooses. Most published configurations also drop the covariance; `covariance` says so openly.
    """

    name = "rome"
    tags = Tags(sequential=True, writes_weights=True, keyed=True, needs_statistics=True)
    settings: type[RomeSettings] = RomeSettings

    def edit(self, model: LanguageModel, facts: Sequence[Fact], state: Session | None = None) -> tuple[Update, Session]:
        """An update for one fact; the state is the session's contexts and second moments.

        Raises:
            EditorError: more than one fact.
        """
        setting = self.begin(model, facts)
        (layer,) = model.check_layers([setting.layer])
        session = state or open_session(model, [layer], setting.contexts, covariance=setting.covariance)
        key, value = Site("key", layer), Site("value", layer)
        with model.frozen():
            wanted = optimise_values(model, facts, (0,), layer, session.contexts, setting.value, places=("value",))
            reader = SubjectReader(model, facts, session.contexts, "flat")
            mean, bare = reader.read_both(model, averaged=[key, value], bare=[key, value])
        target = wanted.base + wanted.delta
        asked, reached = (bare if setting.keys == "bare" else mean), (mean if setting.keys == "averaged" else bare)
        residual = target - reached[value]
        moments = session.moments
        factor = moments[layer].factor(setting.damping, asked[key].device) if setting.covariance else None
        left, right = rank_one(residual[:, 0], asked[key][:, 0], reached[key][:, 0], factor)
        changes = {model.weight_name(layer): LowRank(left, right)}
        notes = remarks(facts, (0,), mean[key], bare[key], session.moments)
        evidence = Evidence({layer: LayerEvidence(reached[key].cpu(), residual.cpu())}, target.cpu(), (0,), notes)
        update = recorded(self.name, model, facts, changes, setting, evidence)
        return update, session
