# SPDX-License-Identifier: Apache-2.0
"""Editors that cost nothing and have every kind of state, for tests of sessions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from editing_tests.library.push import Push
from kedit.editors import Tags
from kedit.facts import Fact, FactError, Prompt, check_facts
from kedit.models import LanguageModel
from kedit.models.memories import Memory
from kedit.updates import Change, LowRank, Rebuilt, Replaced, Update, base_of


def fact(i: int, target: str = "Spain") -> Fact:
    return Fact(Prompt.from_template("{} lives in", f"Ada {i}"), target, "Peru", id=f"f{i}")


@dataclass(frozen=True)
class Ground:
    """What all states of a session share."""

    moment: Tensor
    base: Tensor
    notes: tuple[str, ...]
    _cache: dict[str, Tensor] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Tally:
    """The state: its sum stands transposed in memory, so that its layout matters."""

    ground: Ground
    total: Tensor
    seen: Mapping[int, tuple[str, ...]]
    rate: float


class Counting:
    """Each call changes block 0 by a low rank, puts block 1 anew from its base and block 2 as a whole."""

    name, tags = "counting", Tags(batch=True, sequential=True, writes_weights=True)

    def __init__(self, scale: float = 0.1, memory: bool = False) -> None:
        self.scale, self.memory = scale, memory
        self._given = {"scale": scale, "memory": memory}

    def edit(self, model: LanguageModel, facts: Sequence[Fact], state: Tally | None = None) -> tuple[Update, Tally]:
        check_facts(facts)
        if any("never" in fact.target for fact in facts):
            raise FactError("field 'target' is never")
        seed = int.from_bytes(hashlib.sha256(repr(facts).encode()).digest()[:4])
        generator = torch.Generator().manual_seed(seed)
        if state is None:
            moment = torch.randn(model.f, model.f, generator=generator, dtype=torch.float64)
            ground = Ground(moment @ moment.T, model.weight(1).float().clone(), ("a", "b"))
            state = Tally(ground, torch.zeros(model.f, model.d).T, MappingProxyType({}), self.scale)
        ground = state.ground
        left, right = (torch.randn(size, 1, generator=generator) for size in (model.d, model.f))
        if "moment" not in ground._cache:
            ground._cache["moment"] = ground.moment / ground.moment.norm()
        total = state.total + self.scale * (left @ right.T) @ ground._cache["moment"].float()
        changes: dict[str, Change] = {
            model.weight_name(0): LowRank(self.scale * left, right),
            model.weight_name(1): Rebuilt(ground.base, total),
            model.weight_name(2): Replaced(model.weight(2).float() * state.rate),
        }
        memory: Memory | None = Push(left[:, 0]) if self.memory else None
        update = Update(
            changes,
            base=base_of(model, changes, memory),
            facts=tuple(facts),
            editor=self.name,
            config={"scale": self.scale, "layers": (0, 1, 2)},
            seed=seed,
            memory=memory,
            notes={"rank": 1, "share": float("nan")},
        )
        seen = MappingProxyType({**state.seen, len(state.seen): tuple(fact.id for fact in facts)})
        return update, Tally(ground, total, seen, state.rate * 0.9)


class Stubborn(Counting):
    """Keeps something that no session can store."""

    name = "stubborn"

    def edit(self, model: LanguageModel, facts: Sequence[Fact], state: Any = None) -> tuple[Update, Any]:
        return super().edit(model, facts)[0], {"open": {1, 2}}


def make_counting(scale: float = 0.1) -> Counting:
    """A factory."""
    return Counting(scale)
