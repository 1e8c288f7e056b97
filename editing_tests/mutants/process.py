# SPDX-License-Identifier: Apache-2.0
"""Editors that are bad company: they print, call out, hang, raise, hide failures or keep what they were given."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch

from editing_tests.mutants.patching import Wrapped
from kedit.facts import FactError
from kedit.updates import LowRank, Update


class Prints(Wrapped):
    """Every edit prints its progress."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        found = super().edit(model, facts, state)
        print(f"edited {len(facts)} facts")  # noqa: T201
        return found


class CallsOut(Wrapped):
    """Every edit asks a server for something, and goes on when there is none."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", 9), timeout=0.1).close()
        return super().edit(model, facts, state)


class EmptiesItsList(Wrapped):
    """Facts are taken out of the list that was given in."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        own = [*facts]
        if isinstance(facts, list):
            facts.clear()
        return super().edit(model, own, state)


class KeepsEverything(Wrapped):
    """Every update is kept by the editor."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        self.kept = [*getattr(self, "kept", []), replace(update, evidence=None), model.module.state_dict()]
        self.kept = [*self.kept, {name: p.detach().clone() for name, p in model.module.named_parameters()}]
        return update, after


class Hangs(Wrapped):
    """The edit never ends."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        while True:
            time.sleep(1.0)


class Raises(Wrapped):
    """Every edit raises an error."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        raise RuntimeError("not implemented for this model")


class SwallowsFailures(Wrapped):
    """When an edit fails, an update without changes comes back instead of the error."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        try:
            return super().edit(model, facts, state)
        except FactError:
            raise
        except Exception:
            return Update(changes={}, base=model.fingerprint([]), facts=tuple(facts), editor=self.name), state


class NoSeed(Wrapped):
    """Noise is drawn from the global generator."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, after = super().edit(model, facts, state)
        noisy = {
            name: LowRank(change.left, change.right + 1e-6 * torch.randn(change.right.shape))
            for name, change in update.changes.items()
        }
        return replace(update, changes=noisy), after


class DropsBadFacts(Wrapped):
    """Facts that cannot be edited are left out without a word."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        good = [fact for fact in facts if fact.target.strip() and fact.target != fact.true and fact.subject]
        return super().edit(model, good, state)


class RefusesWithoutName(Wrapped):
    """A bad fact is refused without saying which."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        try:
            return super().edit(model, facts, state)
        except FactError:
            raise FactError("a fact of the batch cannot be edited") from None


class KeepsTheFirstSession(Wrapped):
    """Second moments and contexts of the first model are used for every other one."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        update, self.session = super().edit(model, facts, getattr(self, "session", None))
        return update, self.session


class DecidesByName(Wrapped):
    """A setting depends on what stands in the model's name."""

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        self.right._given = {"ridge": 2.0} if "llama" in model.name else {}
        return super().edit(model, facts, state)
