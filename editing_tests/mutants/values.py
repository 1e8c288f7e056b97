# SPDX-License-Identifier: Apache-2.0
"""Values that are searched for, bounded or combined in a wrong way."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from editing_tests.mutants.patching import Patched
from kedit.editors.memit import Memit, MemitMerge
from kedit.locate_then_edit.groups import each_alone, members
from kedit.locate_then_edit.pipeline import target_outputs

SEARCH = "kedit.locate_then_edit.pipeline.optimise_values"
TARGETS = "kedit.locate_then_edit.pipeline.target_outputs"


def with_settings(**settings: Any) -> Any:
    """A search with other settings than asked for."""

    def search(
        right: Any, model: Any, facts: Any, groups: Any, layer: int, contexts: Any, config: Any, **kw: Any
    ) -> Any:
        return right(model, facts, groups, layer, contexts, replace(config, **settings), **kw)

    return search


def without_base(right: Any, *args: Any, **kwargs: Any) -> Any:
    found = right(*args, **kwargs)
    return replace(found, base=torch.zeros_like(found.base))


def at_the_value(right: Any, *args: Any, **kwargs: Any) -> Any:
    return right(*args, **kwargs | {"places": ("value",)})


def in_order_of_length(right: Any, model: Any, facts: Any, *args: Any, **kwargs: Any) -> Tensor:
    order = sorted(range(len(facts)), key=lambda i: len(facts[i].prompt.text))
    return right(model, [facts[i] for i in order], *args, **kwargs)


def of_the_first(right: Any, model: Any, facts: Any, groups: Any, *args: Any, **kwargs: Any) -> Any:
    firsts = [facts[group[0]] for group in members(groups)]
    return right(model, firsts, tuple(range(len(firsts))), *args, **kwargs)


def of_each(right: Any, model: Any, facts: Any, _groups: Any, *args: Any, **kwargs: Any) -> Tensor:
    return right(model, facts, tuple(range(len(facts))), *args, **kwargs)


class ClampMissing(Patched, Memit):
    """Nothing bounds the value, in a search that takes all its steps, as published ones do."""

    wrong = ((SEARCH, with_settings(clamp=1e6, stop=0.0)),)


class DivergenceRewarded(Patched, Memit):
    """The KL term has the wrong sign: a search that takes all its steps is rewarded for leaving the unedited model."""

    wrong = ((SEARCH, with_settings(kl=-1.0, stop=-1e9)),)


class StopsAtOnce(Patched, Memit):
    """A search ends while its loss is above the stopping loss, not below it."""

    wrong = ((SEARCH, with_settings(stop=float("inf"))),)


class BaseForgotten(Patched, Memit):
    """What is written is the change that was found, without the output it was added to."""

    wrong = ((SEARCH, without_base),)


class ValueOfAnotherPlace(Patched, Memit):
    """The wanted output of the MLP is compared with the output of the whole block."""

    wrong = ((SEARCH, at_the_value),)


class SortedAndNotBack(Patched, Memit):
    """Facts are sorted by length to save padding, and the values come back in that order."""

    wrong = ((TARGETS, in_order_of_length),)


class ValueOfTheFirst(Patched, MemitMerge):
    """The value of a group is searched for with its first fact only."""

    wrong = ((SEARCH, of_the_first),)


class ValuesNotMerged(Patched, MemitMerge):
    """Groups are found and reported, and every fact gets a value of its own all the same."""

    wrong = ((TARGETS, of_each),)


class NoGroups(MemitMerge):
    """No two facts are found to have one key."""

    def groups(self, model: Any, facts: Any) -> tuple[int, ...]:
        return each_alone(model, facts)


class OneGroup(MemitMerge):
    """Facts are grouped by what stands before the subject, so different subjects share a value."""

    def groups(self, model: Any, facts: Any) -> tuple[int, ...]:
        seen: dict[str, int] = {}
        return tuple(seen.setdefault(fact.prompt.left, len(seen)) for fact in facts)


class GroupsByString(MemitMerge):
    """Facts are grouped by the subject's name, also where other words before it give it another key."""

    def groups(self, model: Any, facts: Any) -> tuple[int, ...]:
        seen: dict[str, int] = {}
        return tuple(seen.setdefault(fact.subject, len(seen)) for fact in facts)


class ValuesByPrompt(Memit):
    """Values are remembered by prompt, whatever the target and the weights are by now."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        self.known = getattr(self, "known", {})
        with patch(TARGETS, partial(self._remembered, target_outputs)):
            return super().edit(model, facts, state)

    def _remembered(self, right: Any, model: Any, facts: Any, *args: Any, **kwargs: Any) -> Tensor:
        if not all(fact.prompt.text in self.known for fact in facts):
            found = right(model, facts, *args, **kwargs)
            self.known |= {fact.prompt.text: found[:, i] for i, fact in enumerate(facts)}
        return torch.stack([self.known[fact.prompt.text] for fact in facts], dim=1)
