# SPDX-License-Identifier: Apache-2.0
"""Every flag of the commands is given in some test."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from kedit.cli import parser
from kedit.gate.options import add_options

LIBRARY = Path(__file__).parents[1]


def flags_of(parsers: argparse.ArgumentParser) -> Iterator[str]:
    """The long options of a command and of those below it; the help is argparse's."""
    for action in parsers._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from flags_of(command)
        yield from (flag for flag in action.option_strings if flag.startswith("--") and flag != "--help")


def flags_of_the_gate() -> list[str]:
    options = pytest.Parser(_ispytest=True)
    add_options(options)
    (group,) = (group for group in options._groups if group.name == "editing")
    return [name for option in group.options for name in option.names()]


def words_of_tests() -> set[str]:
    """Every word of every text in the code of the tests but this one; a flag may have its value behind a sign."""
    texts = [
        node.value
        for path in LIBRARY.rglob("*.py")
        if path != Path(__file__)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return {word.partition("=")[0].strip("`'") for text in texts for word in text.split()}


def test_every_flag_is_given_in_some_test() -> None:
    """Pitfall 53: a flag that nobody gives may do the opposite of what its help says."""
    flags = {*flags_of(parser()), *flags_of_the_gate()}
    assert {"--each", "--dtype", "--editor", "--editing-seed"} <= flags
    assert sorted(flags - words_of_tests()) == []
