# SPDX-License-Identifier: Apache-2.0
"""What a property cannot ask of a model: a skip that the gate decides, and no editor can."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

__all__ = ["NotPossibleHere", "raised_by_kedit"]

_KEDIT = Path(__file__).parents[1]
# Of kedit, editors are what is judged.
_EDITORS = _KEDIT / "editors"


class NotPossibleHere(BaseException):
    """The model, or the facts that it knows, are too few for the property; the message says of what there are too few.

    No Exception, so that no test takes it for what an editor raised.
    """


def raised_by_kedit(traceback: TracebackType | None) -> bool:
    """Whether kedit, and not an editor, raised what has this traceback: no frame of it is of an editor's file."""
    frames = []
    while traceback is not None:
        frames.append(Path(traceback.tb_frame.f_code.co_filename))
        traceback = traceback.tb_next
    return bool(frames) and frames[-1].is_relative_to(_KEDIT) and not any(f.is_relative_to(_EDITORS) for f in frames)
