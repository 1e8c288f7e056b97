# SPDX-License-Identifier: Apache-2.0
"""How many of a world's facts a model knows: greedy exact match of the true object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from kedit.worlds.entries import Entry
from kedit.worlds.examples import Example, encode_documents, join, pad
from kedit.worlds.sentences import TEMPLATES, say
from kedit.worlds.world import World

_BATCH = 256


@dataclass(frozen=True, slots=True)
class Recall:
    """Shares of facts whose object greedy decoding reproduces, each between 0 and 1."""

    template_0: float
    all_templates: float


def measure_recall(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, world: World, entries: Sequence[Entry] | None = None
) -> Recall:
    """Recall over the bare prompts of template 0 and of all four templates.

    A fact counts when every token of its object is the most likely one given the prompt and the tokens before,
    which is when greedy decoding reproduces the object. `entries` restricts the facts; default all of the world.
    """
    entries = world.entries if entries is None else entries
    documents = [
        [say(entry.relation, entry.subject.name, entry.true, template, lead=0)]
        for template in range(TEMPLATES)
        for entry in entries
    ]
    opening = tokenizer("", add_special_tokens=True)["input_ids"]
    examples = [join([e], [], opening) for e in encode_documents(tokenizer, documents)]
    hits = _greedy_hits(model, examples, tokenizer.pad_token_id)
    first = hits[: len(entries)]
    return Recall(sum(first) / len(first), sum(hits) / len(hits))


@torch.no_grad()
def _greedy_hits(model: PreTrainedModel, examples: Sequence[Example], pad_id: int) -> list[bool]:
    hits = [False] * len(examples)
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].ids))
    training = model.training
    model.eval()
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        batch = pad([examples[i] for i in rows], pad_id, other_weight=0.0)
        logits = model(input_ids=batch.ids, attention_mask=torch.ones_like(batch.ids), use_cache=False).logits
        best = logits[:, :-1].argmax(-1)
        wrong = (best != batch.ids[:, 1:]) & (batch.weights[:, 1:] > 0)
        for row, failed in zip(rows, wrong.any(1).tolist(), strict=True):
            hits[row] = not failed
    model.train(training)
    return hits
