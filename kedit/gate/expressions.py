# SPDX-License-Identifier: Apache-2.0
"""Whether an expression of pytest's `-m` asks for a marker."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Sequence

__all__ = ["asks_for"]

_NAME = re.compile(r"\b(?!(?:and|or|not)\b)[A-Za-z_][\w.]*(\([^()]*\))?")


def asks_for(expression: str, kinds: Sequence[Collection[str]]) -> bool:
    """Whether a test of one of the kinds, told by their markers, is chosen because it has those, whatever other markers
    the expression names.

    An expression that pytest will not understand asks for nothing; pytest says what is wrong with it.
    """
    names: list[str] = []

    def numbered(match: re.Match[str]) -> str:
        names.append(match.group(0))
        return f"x{len(names) - 1}"

    try:
        tree = ast.parse(_NAME.sub(numbered, expression.strip()), mode="eval").body
        own = set().union(*kinds)
        for others in (set(), set(names) - own):  # that the test has besides
            without = _holds(tree, [name in others for name in names])
            if not without and any(_holds(tree, [name in others.union(kind) for name in names]) for kind in kinds):
                return True
        return False
    except (SyntaxError, ValueError):
        return False


def _holds(node: ast.expr, given: Sequence[bool]) -> bool:
    if isinstance(node, ast.BoolOp):
        parts = [_holds(part, given) for part in node.values]
        return all(parts) if isinstance(node.op, ast.And) else any(parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return not _holds(node.operand, given)
    if isinstance(node, ast.Name):
        return given[int(node.id[1:])]
    raise ValueError(f"no marker: {ast.dump(node)}")
