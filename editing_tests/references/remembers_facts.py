# SPDX-License-Identifier: Apache-2.0
"""MEMIT-Merge that keeps every fact of the session and solves one merged batch over all of them at each call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kedit.editors import Tags
from kedit.editors.memit import MemitSettings
from kedit.editors.settings import check, recorded, resolve
from kedit.facts import Fact, check_facts
from kedit.locate_then_edit.groups import equal_keys
from kedit.locate_then_edit.pipeline import LayerProblem, Session, Solution, open_session, spread, target_outputs
from kedit.locate_then_edit.solvers import ridge
from kedit.updates import Rebuilt


@dataclass(frozen=True)
class Memory:
    """Contexts and second moments, unedited weights `(d, f)`, facts by prompt, and wanted outputs `(d,)` by the facts
    of a group."""

    session: Session
    base: Mapping[str, Tensor]
    facts: Mapping[str, Fact]
    targets: Mapping[tuple[Fact, ...], Tensor]


class RemembersFacts:
    """The good side of `longevity.returning-subjects` and, after two edits, of `perturbation.homogeneous-sequence`: a
    later fact of a subject gets a value with the earlier ones. After eight edits it is on neither side, because
    one value for eight facts makes each a little less likely. Its state grows with every fact; of two for one prompt,
    the later counts. A value gets twice MEMIT-Merge's steps."""

    name, tags = "remembers-facts", Tags(batch=True, sequential=True, writes_weights=True, needs_statistics=True)

    def __init__(self, **settings: Any) -> None:
        check(MemitSettings, settings, where=self.name)
        self._given = {"value": {"steps": 50}} | settings

    def edit(self, model, facts, state=None):
        check_facts(facts)
        setting = resolve(MemitSettings, model, self._given, name="memit-merge")
        layers = model.check_layers(setting.layers)
        if state is None:
            base = {model.weight_name(layer): model.weight(layer).clone() for layer in layers}
            state = Memory(open_session(model, layers, setting.contexts), base, {}, {})
        known = {**state.facts, **{fact.prompt.text: fact for fact in facts}}
        everything = tuple(known.values())

        def solve(problem: LayerProblem) -> Solution:
            factor = state.session.moments[problem.layer].factor(setting.damping)
            left, right = ridge(problem.keys, problem.residuals, factor, setting.ridge * model.f)
            return Solution(Rebuilt(state.base[model.weight_name(problem.layer)], (left @ right.T).float()), None)

        with model.frozen(), model.swapped(state.base):
            groups = equal_keys(model, everything)
            fellows = [
                tuple(fact for fact, of in zip(everything, groups, strict=True) if of == group)
                for group in range(max(groups) + 1)
            ]
            targets = {key: state.targets[key] for key in fellows if key in state.targets}
            fresh = [key for key in fellows if key not in targets]
            found = [fact for key in fresh for fact in key]
            if found:
                of = tuple(group for group, key in enumerate(fresh) for _ in key)
                columns = target_outputs(model, found, of, layers[-1], state.session, setting.value)
                targets |= {key: columns[:, of.index(group)] for group, key in enumerate(fresh)}
            wanted = torch.stack([targets[fellows[group]] for group in groups], dim=1)
            changes, _ = spread(model, everything, groups, wanted, layers, state.session, solve)
        update = recorded(self.name, model, facts, changes, setting)
        return update, Memory(state.session, state.base, known, targets)
