# SPDX-License-Identifier: Apache-2.0
"""Second moments and contexts that are not those of the model, the layer or the session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from editing_tests.mutants.patching import Patched
from kedit.editors.alphaedit import AlphaEdit, AlphaEditState
from kedit.editors.memit import Memit
from kedit.editors.rome import Rome
from kedit.locate_then_edit.history import FactoredSum
from kedit.locate_then_edit.pipeline import Session
from kedit.locate_then_edit.solvers import NullSpace
from kedit.statistics.second_moments import SecondMoment

SESSION = "kedit.editors.memit.open_session"


def with_moments(change: Callable[[Session, int], torch.Tensor]) -> Any:
    """A session with other second moments; new objects, because the right ones keep their factors."""

    def opened(right: Any, *args: Any, **kwargs: Any) -> Session:
        session = right(*args, **kwargs)
        moments = {
            layer: SecondMoment(layer, change(session, layer), moment.tokens, moment.model, moment.corpus)
            for layer, moment in session.moments.items()
        }
        return replace(session, moments=moments)

    return opened


def summed(session: Session, layer: int) -> torch.Tensor:
    return session.moments[layer].matrix * session.moments[layer].tokens


def of_the_next_layer(session: Session, layer: int) -> torch.Tensor:
    layers = sorted(session.moments)
    return session.moments[layers[(layers.index(layer) + 1) % len(layers)]].matrix


def identity(session: Session, layer: int) -> torch.Tensor:
    matrix = session.moments[layer].matrix
    return torch.eye(len(matrix), dtype=matrix.dtype) * matrix.diagonal().mean()


def above_the_threshold(vectors: torch.Tensor, rank: int) -> torch.Tensor:
    return vectors[:, rank:]


def everything(vectors: torch.Tensor, _rank: int) -> torch.Tensor:
    return vectors


def without_blanks(right: Any, *args: Any, **kwargs: Any) -> Session:
    session = right(*args, **kwargs)
    return replace(session, contexts=tuple(context.rstrip() for context in session.contexts))


def with_bases(choose: Callable[[torch.Tensor, int], torch.Tensor]) -> Any:
    """AlphaEdit's state with other bases: `choose` takes all eigenvectors `(f, f)` and the rank of the right one."""

    def start(right: Any, *args: Any) -> AlphaEditState:
        state = right(*args)
        spaces = {}
        for layer, space in state.spaces.items():
            vectors = torch.linalg.eigh(state.session.moments[layer].matrix).eigenvectors
            spaces[layer] = NullSpace(choose(vectors, space.basis.shape[1]), space.energy)
        eyes = {layer: torch.eye(space.basis.shape[1]).to(space.basis) for layer, space in spaces.items()}
        sums = {layer: FactoredSum.start(eye, state.l2) for layer, eye in eyes.items()}
        return replace(state, spaces=spaces, sums=sums)

    return start


class SumInsteadOfMean(Patched, Memit):
    """The second moment is the sum over tokens, not the mean."""

    wrong = ((SESSION, with_moments(summed)),)


class OtherLayersMoment(Patched, Memit):
    """Every layer is solved with the second moment of another one."""

    wrong = ((SESSION, with_moments(of_the_next_layer)),)


class IdentityMoment(Patched, Memit):
    """The second moment is left out without a word, and the identity stands in its place."""

    wrong = ((SESSION, with_moments(identity)),)


class BlankOfContextsLost(Patched, Rome):
    """The blank between a sampled context and the prompt is lost."""

    wrong = (("kedit.editors.rome.open_session", without_blanks),)


class WrongSideOfTheSpectrum(Patched, AlphaEdit):
    """The projector keeps the directions that preserved keys use most."""

    wrong = (("kedit.editors.alphaedit._start", with_bases(above_the_threshold)),)


class NotProjected(Patched, AlphaEdit):
    """The projector is the identity, as with a threshold that is too large."""

    wrong = (("kedit.editors.alphaedit._start", with_bases(everything)),)
