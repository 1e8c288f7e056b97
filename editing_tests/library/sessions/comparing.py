# SPDX-License-Identifier: Apache-2.0
"""Whether two sessions are the same, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from editing_tests.library.random_models import random_model
from editing_tests.library.sessions.counting import Counting
from kedit.models import LanguageModel
from kedit.sessions import EditSession
from kedit.sessions.codec import Encoder, to_json


@cache
def template() -> LanguageModel:
    return random_model("gpt2")


def fresh() -> LanguageModel:
    """An unedited model; tests that edit it have it for themselves."""
    return template().copy()


def counting(**settings: Any) -> EditSession:
    return EditSession(fresh(), Counting(**settings))


def state_text(session: EditSession) -> str:
    """The editor's state with all its numbers and their layout, as one text."""
    return to_json(Encoder({"editing_tests"}).encode(session._state, "state"))


def seen(session: EditSession) -> tuple[Any, ...]:
    """Everything of a session as it is now that can be compared; notes by their text, since NaN is not NaN."""
    return (
        session.model.fingerprint(),
        repr(session.history),
        session.committed,
        state_text(session),
        None if session.model.memory is None else repr(session.model.memory),
    )


def seen_at_all_depths(session: EditSession) -> list[tuple[Any, ...]]:
    """`seen` now and after each undo, down to the ground; the session is at its ground then."""
    found = [seen(session)]
    while len(session.history) > session.committed:
        session.undo()
        found.append(seen(session))
    return found


def loaded(path: Any, make: Callable[[], LanguageModel] = fresh) -> EditSession:
    return EditSession.load(path, make())
