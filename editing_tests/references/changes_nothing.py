# SPDX-License-Identifier: Apache-2.0
"""An editor that accepts every fact and changes no weight."""

from kedit.editors import Tags
from kedit.facts import check_facts
from kedit.updates import Update


class ChangesNothing:
    """The bad side of `efficacy.single` and `efficacy.distinct-batch`: no fact takes."""

    name, tags = "changes-nothing", Tags(batch=True, sequential=True, writes_weights=True)

    def edit(self, model, facts, state=None):
        check_facts(facts)
        return Update(changes={}, base=model.fingerprint([]), facts=tuple(facts), editor=self.name), state
