# SPDX-License-Identifier: Apache-2.0
"""HTML and SVG written so that no text gets in unescaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

__all__ = ["Markup", "element", "join"]

_VOID = frozenset({"meta", "br", "wbr"})


class Markup(str):
    """Text that is markup already; every other text is escaped."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: object) -> Markup:
    """`<name attributes>children</name>`.

    Args:
        name: of the element.
        children: markup as it is, any other text escaped.
        attributes: a trailing underscore is dropped (`class_`), an inner one is a hyphen; None leaves one out.
    """
    given = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    ]
    opening = f"<{name}{''.join(given)}>"
    return Markup(opening if name in _VOID else f"{opening}{join(children)}</{name}>")


def join(parts: Iterable[str], between: str = "") -> Markup:
    """All parts as one markup; what is not markup is escaped, `between` too."""
    return Markup(_safe(between).join(_safe(part) for part in parts))


def _safe(text: str) -> str:
    return text if isinstance(text, Markup) else escape(text)
