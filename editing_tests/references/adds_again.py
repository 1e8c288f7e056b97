# SPDX-License-Identifier: Apache-2.0
"""D4S that adds `base + Delta` to the weights it finds, instead of putting it in their place."""

from dataclasses import replace
from typing import Any

from kedit.editors.d4s import D4S
from kedit.updates import Replaced


class AddsAgain(D4S):
    """The bad side of `growth` in `longevity.repeat` and of `relative_change` in `longevity.sequence` and
    `longevity.returning-subjects`: n calls add n times as much as one. Values get one step, because what is wrong does
    not depend on them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"value": {"steps": 1}} | settings)

    def edit(self, model, facts, state=None):
        update, after = super().edit(model, facts, state)
        found = {model.weight_name(layer): model.weight(layer) for layer in range(model.n_blocks)}
        added = {
            name: Replaced(found[name] + change.new_weight(found[name])) for name, change in update.changes.items()
        }
        return replace(update, changes=added, base=model.fingerprint(added)), after
