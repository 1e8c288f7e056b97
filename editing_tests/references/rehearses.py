# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning that starts from the unedited weights at each call, on every fact of the session."""

from dataclasses import replace
from typing import Any

from kedit.editors.fine_tuning import FtL


class Rehearses(FtL):
    """The good side of `perturbation.homogeneous-sequence`: nothing is asked of one key alone, so facts of one subject
    last like any others. Neighbors do not."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"epsilon": 1e9, "lr": 1e-2, "steps": 60} | settings)

    def edit(self, model, facts, state=None):
        first = {model.weight_name(layer): model.weight(layer).clone() for layer in range(model.n_blocks)}
        base, known = state or (first, {})
        known = known | {fact.prompt.text: fact for fact in facts}
        with model.swapped(base):
            update, _ = super().edit(model, list(known.values()))
        return replace(update, base=model.fingerprint(update.changes), facts=tuple(facts)), (base, known)
