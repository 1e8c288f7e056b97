# SPDX-License-Identifier: Apache-2.0
"""An edit is a computation and nothing else."""

from __future__ import annotations

import sys

import pytest

from kedit.gate import Gate, digest, live_numbers

WARM, CALLS = 3, 6


@pytest.mark.editing_property("contract.good-manners")
def test_good_manners(gate: Gate, capfd: pytest.CaptureFixture[str]) -> None:
    """An edit prints nothing, needs no network, leaves the list of facts as it was, and keeps nothing from call to call
    once its result is dropped (docs/writing-an-editor.md, seventh rule)."""
    model, changed, held, failure = gate.model, 0, {}, None
    facts = gate.facts.distinct(CALLS - 1, gate.seed)
    facts.append(facts[WARM - 1])  # what an editor keeps of its latest call is as large after both counts
    capfd.readouterr()
    with gate.network.refused() as calls:
        for number, fact in enumerate(facts, 1):
            given, before = [fact], digest([fact])
            try:
                gate.editor.edit(model, given)
            except Exception as error:  # an editor may not be able to go on without the network
                failure = error
                break
            changed += digest(given) != before
            held[number] = live_numbers() if number in (WARM, CALLS) else 0
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.flush()
    printed = "".join(capfd.readouterr())
    gate.judge("printed_characters", len(printed), note=f"it begins {printed[:60]!r}")
    gate.judge("network_calls", len(calls), note=", ".join(dict.fromkeys(calls)))
    gate.judge("changed_inputs", changed, note=f"of {CALLS} lists of facts")
    if failure is not None:
        raise failure
    gate.judge("leaked_numbers", max(0, held[CALLS] - held[WARM]), note=f"in {CALLS - WARM} calls")
