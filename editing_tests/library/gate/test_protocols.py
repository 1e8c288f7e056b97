# SPDX-License-Identifier: Apache-2.0
"""Numbers after each edit and after all edits are two numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from torch import Tensor

from kedit.editors import Tags, load_editor
from kedit.facts import Fact
from kedit.gate.protocols import trace
from kedit.metrics import AFTER_ALL, AFTER_EACH, Retention
from kedit.models import LanguageModel
from kedit.paths import model_folder
from kedit.updates import Rebuilt, Update
from kedit.worlds.sampling import Sampler
from kedit.worlds.world import World


class Forgets:
    """Edits the unedited weights at each call, so that only the last fact is left."""

    name, tags = "forgets", Tags(sequential=True, writes_weights=True)

    def edit(self, model: LanguageModel, facts: Sequence[Fact], state: Any = None) -> tuple[Update, dict[str, Tensor]]:
        names = [model.weight_name(layer) for layer in range(model.n_blocks)]
        base = state or {name: model.weight(layer).clone() for layer, name in enumerate(names)}
        with model.swapped(base):
            update, _ = load_editor("ft-m").edit(model, facts)
        changes = {n: Rebuilt(base[n], change.new_weight(base[n]) - base[n]) for n, change in update.changes.items()}
        return Update(changes, model.origin, tuple(facts)), base


def test_what_is_destroyed_later_was_there_after_its_own_edit() -> None:
    """Pitfall 45."""
    model = LanguageModel.from_pretrained(model_folder("tiny-gpt2"))
    facts = Sampler(World.generate(0)).distinct(3, seed=0)
    found = trace(Forgets(), model, facts, checkpoints=())
    assert (found.after_each, found.after_all) == ((True, True, True), (False, False, True))
    retention = Retention(found.after_each, found.after_all)
    assert (AFTER_EACH(retention), AFTER_ALL(retention)) == (1.0, pytest.approx(1 / 3))
