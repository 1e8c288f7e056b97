# SPDX-License-Identifier: Apache-2.0
"""Editors that do more than compute are rejected by contract.good-manners, which says what they did."""

from __future__ import annotations

import pytest

from kedit.gate.run import suite_folder

EDITORS = """
import contextlib
import os
import socket
import urllib.request

import torch

from editing_tests.references.changes_nothing import ChangesNothing


class Prints(ChangesNothing):
    def edit(self, model, facts, state=None):
        print("editing")
        return super().edit(model, facts, state)


class PrintsPastPython(ChangesNothing):
    def edit(self, model, facts, state=None):
        os.write(2, b"editing")
        return super().edit(model, facts, state)


class LooksUpNames(ChangesNothing):
    def edit(self, model, facts, state=None):
        with contextlib.suppress(OSError):
            urllib.request.urlopen("http://models.invalid/")
        return super().edit(model, facts, state)


class NeedsTheNetwork(ChangesNothing):
    def edit(self, model, facts, state=None):
        socket.create_connection(("127.0.0.1", 9)).close()
        return super().edit(model, facts, state)


class TalksToItself(ChangesNothing):
    def edit(self, model, facts, state=None):
        one, other = socket.socketpair()
        one.sendmsg([b"editing"])
        one.close(), other.close()
        return super().edit(model, facts, state)


class EatsFacts(ChangesNothing):
    def edit(self, model, facts, state=None):
        found = super().edit(model, facts, state)
        facts.pop()
        return found


class RewritesFacts(ChangesNothing):
    def edit(self, model, facts, state=None):
        found = super().edit(model, facts, state)
        object.__setattr__(facts[0], "target", facts[0].target + " too")
        return found


class KeepsAll(ChangesNothing):
    kept = []

    def edit(self, model, facts, state=None):
        self.kept.append(torch.zeros(2, 5))
        return super().edit(model, facts, state)


class KeepsTheLatest(ChangesNothing):
    def edit(self, model, facts, state=None):
        self.kept = torch.zeros(len(facts[0].target))
        return super().edit(model, facts, state)
"""


@pytest.fixture
def judge(run, pytester):
    pytester.makepyfile(elsewhere=EDITORS)

    def start(editor: str) -> pytest.RunResult:
        test = suite_folder() / "contract" / "test_manners.py"
        return run(test, "--editor", f"elsewhere:{editor}", "--model", "tiny-gpt2")

    return start


@pytest.mark.parametrize(
    ("editor", "words"),
    [
        ("Prints", "printed_characters is 48, must be at most 0"),
        ("PrintsPastPython", "printed_characters is 42, must be at most 0"),
        ("LooksUpNames", "network_calls is 6, must be at most 0"),
        ("EatsFacts", "changed_inputs is 6, must be at most 0"),
        ("RewritesFacts", "changed_inputs is 6, must be at most 0"),
        ("KeepsAll", "leaked_numbers is 30, must be at most 0"),
    ],
)
def test_bad_manners_are_told(judge, editor, words):
    result = judge(editor)
    assert result.ret == 1
    assert result.outlines[-1].startswith(f"elsewhere:{editor}: rejected by: contract.good-manners")
    assert any(f"contract.good-manners: {words}" in line for line in result.outlines)


def test_an_editor_that_cannot_go_on_without_the_network_is_told_what_it_tried(judge):
    lines = judge("NeedsTheNetwork").outlines
    assert "rejected by: contract.good-manners" in lines[-1]
    assert any("network_calls" in line and "failed  getaddrinfo 127.0.0.1" in line for line in lines)
    assert any("ConnectionRefusedError" in line and "an edit has no network" in line for line in lines)


@pytest.mark.parametrize("editor", ["KeepsTheLatest", "TalksToItself"])
def test_what_stays_within_bounds_is_accepted(judge, editor):
    assert judge(editor).ret == 0
