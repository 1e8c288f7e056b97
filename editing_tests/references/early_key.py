# SPDX-License-Identifier: Apache-2.0
"""MEMIT whose keys are read one token before the subject's last one; values and residuals are right."""

from dataclasses import replace

import torch

from kedit.editors import Tags, load_editor
from kedit.facts import Prompt
from kedit.updates import LowRank


class EarlyKey:
    """The bad side of `efficacy.distinct-batch`: the change answers to a key that the prompts never ask with."""

    name, tags = "early-key", Tags(batch=True, writes_weights=True)

    def edit(self, model, facts, state=None):
        memit = load_editor("memit")
        right, _ = memit.edit(model, facts)
        early, _ = memit.edit(model, [shortened(model, fact) for fact in facts])
        changes = {}
        for layer, evidence in right.evidence.layers.items():
            keys = early.evidence.layers[layer].keys.double()
            system = evidence.penalty().double() + keys @ keys.T
            changes[model.weight_name(layer)] = LowRank(evidence.residuals, torch.linalg.solve(system, keys))
        return replace(right, changes=changes, evidence=None), state


def shortened(model, fact):
    """The fact with the last token of its subject moved out of the marked span."""
    left, subject = fact.prompt.left, fact.prompt.subject
    offsets = model.tokenizer(fact.prompt.text, return_offsets_mapping=True)["offset_mapping"]
    cut = max(start for start, end in offsets if start < len(left) + len(subject) and end > len(left))
    head = fact.prompt.text[len(left) : cut].rstrip()
    return replace(fact, prompt=Prompt(left, head, fact.prompt.text[len(left) + len(head) :]))
