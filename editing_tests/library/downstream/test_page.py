# SPDX-License-Identifier: Apache-2.0
"""The page on downstream tasks: its table is `OPEN_LLM`, its code names what there is."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

from kedit.downstream import OPEN_LLM

PAGE = (Path(__file__).parents[3] / "docs" / "downstream.md").read_text(encoding="utf-8")


def test_the_table_is_the_data() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)`[^|]* \| (\d+) \| `([^`]+)` \| (\w+) \|$", PAGE, flags=re.MULTILINE)
    said = {"D4S": "paper", "Open": "leaderboard"}
    assert rows == [
        (name, one.task, str(one.shots), one.metric, said[re.split(r"\W", one.source)[0]])
        for name, one in OPEN_LLM.items()
    ]


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL))
def test_the_code_imports_what_there_is(code: str) -> None:
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    assert imports
    for node in imports:
        module = importlib.import_module(node.module or "")
        assert all(hasattr(module, alias.name) for alias in node.names)
