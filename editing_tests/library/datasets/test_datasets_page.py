# SPDX-License-Identifier: Apache-2.0
"""The page on data sets: its commands are commands, its code runs, its tables name what there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, get_args

import pytest

from kedit.cli import parser
from kedit.datasets import FORMATS
from kedit.datasets.building import WORLD, Kind, build
from kedit.datasets.samples import Kind as Draw

PAGE = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text(encoding="utf-8")


def test_every_command_can_be_typed() -> None:
    lines = re.findall(r"^kedit (.+)$", PAGE, flags=re.MULTILINE)
    assert {shlex.split(line)[1] for line in lines if line.startswith("dataset")} == {"stats", "convert", "build"}
    for line in lines:
        parser().parse_args(shlex.split(line))  # would leave the process


def test_formats_kinds_and_draws_are_all_there() -> None:
    assert {*re.findall(r"^\*\*(\w+)\*\*", PAGE, flags=re.MULTILINE)} == {*FORMATS, *get_args(Kind)}
    sampling = PAGE.partition("\n## Sampling\n")[2]
    assert re.findall(r"^\| `(\w+)` \|", sampling, flags=re.MULTILINE) == list(get_args(Draw))


def test_the_code_draws_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    build("s2rke", WORLD, "stars.json")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.partition("\n## Sampling\n")[2], flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    assert len(names["facts"]) == 36
    assert len({fact.subject for fact in names["facts"]}) == 18
