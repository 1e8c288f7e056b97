# SPDX-License-Identifier: Apache-2.0
"""Sessions: edits of one model that can be undone, committed, saved, and gone on with after a kill."""

from kedit.sessions.errors import SessionError
from kedit.sessions.homes import read_history
from kedit.sessions.session import EditSession
from kedit.sessions.steps import Entry
from kedit.sessions.update_files import load_update, save_update

__all__ = ["EditSession", "Entry", "SessionError", "load_update", "read_history", "save_update"]
