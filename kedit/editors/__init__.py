# SPDX-License-Identifier: Apache-2.0
"""Reference implementations of the field's editors, and the interface of yours."""

from kedit.editors.base import Editor, EditorError, Tags
from kedit.editors.registry import editor_names, load_editor

__all__ = ["Editor", "EditorError", "Tags", "editor_names", "load_editor"]
