# SPDX-License-Identifier: Apache-2.0
"""Updates: what an edit changes, as a value that can be applied and taken back bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from kedit.facts import Fact
from kedit.models.language_model import LanguageModel, ModelError
from kedit.models.memories import Memory

__all__ = [
    "Change",
    "Evidence",
    "LayerEvidence",
    "LowRank",
    "Rebuilt",
    "Replaced",
    "Snapshot",
    "Update",
    "UpdateError",
    "base_of",
    "lost_to_rounding",
]


class UpdateError(ValueError):
    """An update that does not fit the model it is applied to."""


class Change(Protocol):
    """How one weight changes, in math orientation `(d, f)`.

    A change may also have `exact(weight)`, the same in float64; `lost_to_rounding` takes it.
    """

    def new_weight(self, weight: Tensor) -> Tensor:
        """The weight after the change, float32 `(d, f)`, from the stored weight `(d, f)`, on that one's device."""
        ...


@dataclass(frozen=True)
class Replaced:
    """`weight` float32 `(d, f)` in the place of `W`, as fine-tuning leaves it."""

    weight: Tensor

    def new_weight(self, weight: Tensor) -> Tensor:
        """The stored matrix, float32 `(d, f)`."""
        return self.weight.to(weight.device)


@dataclass(frozen=True)
class LowRank:
    """`W + left @ right.T`, with `left` `(d, n)` and `right` `(f, n)`; summed in float64, rounded once."""

    left: Tensor
    right: Tensor

    def new_weight(self, weight: Tensor) -> Tensor:
        """`W + left @ right.T`, float32 `(d, f)`."""
        return self.exact(weight).float()

    def exact(self, weight: Tensor) -> Tensor:
        """`W + left @ right.T`, float64 `(d, f)`."""
        left, right = (factor.to(weight.device).double() for factor in (self.left, self.right))
        return weight.double() + left @ right.T


@dataclass(frozen=True)
class Rebuilt:
    """`base + delta` whatever the weight is now, so that applying twice changes nothing more.

    `base` `(d, f)` is the weight before the first edit of the session, `delta` float32 `(d, f)` the
    change of the whole history (D4S, eq. 13).
    """

    base: Tensor
    delta: Tensor

    def new_weight(self, weight: Tensor) -> Tensor:
        """`base + delta`, float32 `(d, f)`; `weight` only tells the shape."""
        return self.base.to(weight.device).float() + self.delta.to(weight.device)

    def exact(self, weight: Tensor) -> Tensor:
        """`base + delta`, float64 `(d, f)`."""
        return self.base.to(weight.device).double() + self.delta.to(weight.device).double()


@dataclass(frozen=True)
class LayerEvidence:
    """What a keyed editor solved at one layer, in host memory: `keys` `(f, n)`, `residuals` `(d, n)` after the spread,
    and `penalty`, which makes the `lambda C` `(f, f)` of the solve when it is asked (None without covariance): at `f` =
    16384 that has 2 GiB."""

    keys: Tensor
    residuals: Tensor
    penalty: Callable[[], Tensor] | None = None


@dataclass(frozen=True)
class Evidence:
    """What a keyed editor decided: per layer keys and residuals, `values` `(d, n)` (one column a fact), the group
    index of every fact, and `notes` for its update."""

    layers: Mapping[int, LayerEvidence]
    values: Tensor
    groups: tuple[int, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """The stored tensors of the changed parameters, and the memory, as they were before an update."""

    weights: Mapping[str, Tensor]
    memory: Memory | None = None

    def restore(self, model: LanguageModel) -> None:
        """Write the snapshot back, bit for bit."""
        for name, stored in self.weights.items():
            model.write(name, stored)
        if model.memory is not self.memory:
            model.attach(self.memory)


def base_of(model: LanguageModel, changes: Mapping[str, Change], memory: Memory | None = None) -> str:
    """What an update with these changes is made for: the fingerprint of exactly these parameters; with a memory, of all
    parameters and the memory they stand beside; if every change is `Rebuilt`, the origin of the model, because the
    weights it finds do not matter."""
    if memory is not None:
        return model.fingerprint()
    return model.origin if {type(change) for change in changes.values()} == {Rebuilt} else model.fingerprint(changes)


@dataclass(frozen=True)
class Update:
    """The result of one `Editor.edit` call.

    Attributes:
        changes: parameter name -> change, in math orientation.
        base: what it was made for, as `base_of` says.
        facts: the facts it edits.
        editor: name of the editor.
        config: the editor's settings, as plain data.
        seed: the seed of everything random in it.
        evidence: keys, residuals and groups, for editors with the tag `keyed`.
        memory: what takes the place of the model's memory; None leaves that alone.
        notes: what the method found out on its way (ranks, energies, counts), by name, as plain data.
    """

    changes: Mapping[str, Change]
    base: str
    facts: tuple[Fact, ...] = ()
    editor: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    evidence: Evidence | None = None
    memory: Memory | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, model: LanguageModel) -> Snapshot:
        """Change the model; returns what `Snapshot.restore` needs to take it back bit for bit.

        Every new weight is computed and checked before the first one is written.

        Raises:
            UpdateError: the model is not the one the update was made for, a parameter is missing or not
                editable, or a new weight is not finite.
        """
        parameters = self.parameters(model)
        fresh = {name: self.stored(model, name, change, parameters[name]) for name, change in self.changes.items()}
        snapshot = Snapshot({name: parameters[name].detach().clone() for name in fresh}, model.memory)
        written: dict[str, Tensor] = {}
        try:
            for name, weight in fresh.items():
                written[name] = snapshot.weights[name]
                model.write(name, weight)
            if self.memory is not None:
                model.attach(self.memory)
        except BaseException:  # a memory that cannot be attached, or an interrupt
            Snapshot(written, snapshot.memory).restore(model)
            raise
        return snapshot

    def parameters(self, model: LanguageModel) -> dict[str, Tensor]:
        """The model's parameters that the update changes, by name.

        Raises:
            UpdateError: the model is not the one the update was made for, or a parameter is missing.
        """
        try:
            parameters: dict[str, Tensor] = {name: model.parameter(name) for name in self.changes}
        except ModelError as error:
            raise UpdateError(f"the update does not fit: {error}") from error
        if self.base != base_of(model, self.changes, self.memory):
            raise UpdateError(
                f"the update was made for other weights than those {model.name} has now "
                f"({', '.join(sorted(self.changes)) or 'all, and its memory'}); restore its snapshot or compute the "
                "edit again"
            )
        return parameters

    @staticmethod
    def stored(model: LanguageModel, name: str, change: Change, parameter: Tensor) -> Tensor:
        """The changed parameter as it is stored: in its orientation, in its dtype, on its device.

        Raises:
            UpdateError: another shape, or not finite.
        """
        turn = model.is_transposed(name)
        weight = parameter.detach().T if turn else parameter.detach()
        fresh = change.new_weight(weight)
        if fresh.shape != weight.shape:
            raise UpdateError(f"update of {name!r} has shape {tuple(fresh.shape)}, expected {tuple(weight.shape)}")
        stored = (fresh.T if turn else fresh).to(parameter)
        if not bool(torch.isfinite(stored).all()):  # as stored: float16 ends at 65504
            raise UpdateError(
                f"update of {name!r} ({parameter.dtype}) is not finite; the edit diverged, nothing was written"
            )
        return stored


def lost_to_rounding(model: LanguageModel, update: Update) -> dict[str, float]:
    """The share of an update that storing it in the model's dtype loses, by parameter name.

    `||round(W + Delta) - (W + Delta)||_F / ||Delta||_F`, norms and `W + Delta` in float64, `round(W + Delta)` what
    `Update.apply` would write. With rounding errors of relative size `u` it is about `u ||W||_F / ||Delta||_F`: near 1
    where bfloat16 (`u` about 0.002) stores a change smaller than the steps between its numbers, which then is lost;
    0 where every sum has a number of its own, and where there is no change.

    Args:
        model: the model the update was made for, before it is applied; left as it is.
        update: the update.

    Raises:
        UpdateError: as `Update.apply`.
    """
    found = {}
    for name, parameter in update.parameters(model).items():
        change, turn = update.changes[name], model.is_transposed(name)
        stored = update.stored(model, name, change, parameter)
        weight, rounded = (tensor.T if turn else tensor for tensor in (parameter.detach(), stored))
        exact = getattr(change, "exact", change.new_weight)(weight).double()
        lost = float(torch.linalg.vector_norm(rounded.double() - exact))
        size = float(torch.linalg.vector_norm(exact - weight.double()))
        found[name] = lost / size if size else 0.0
    return found
