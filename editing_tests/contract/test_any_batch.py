# SPDX-License-Identifier: Apache-2.0
"""Batches as they come: any number of facts a subject, any prefix, any script."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from kedit.facts import Fact, Prompt
from kedit.gate import Gate, answers, capture, differences

# Drawn in any run, and with --hypothesis-profile=nightly, which also looks for the smallest batch that is broken.
EXAMPLES, NIGHTLY_EXAMPLES = 3, 100
PREFIXES = ("", "As everyone knows, ", "(", "{} ", "In 1999, ", "«", "Głogów: ")
TARGETS = (None, "Głogów", "2012", "{}", "a {b} c", "🦊 fox", "x", "the long way round the old town", "東京")


@st.composite
def batches(draw: st.DrawFn, gate: Gate) -> list[Fact]:
    """One to four facts: how many of which subject, what stands before it, what is asked, in which order."""
    most = 4 if gate.tags.batch else 1
    shared = draw(st.integers(0, most), label="facts of one subject")
    others = draw(st.integers(0 if shared else 1, most - shared), label="facts of other subjects")
    drawn = draw(st.integers(0, 10_000), label="seed of the facts")
    same = gate.facts.same_subject(shared, drawn) if shared else []
    apart = [fact for fact in gate.facts.distinct(others + 1, drawn) if not same or fact.subject != same[0].subject]
    return draw(st.permutations([dressed(draw, fact) for fact in [*same, *apart[:others]]]), label="order")


def dressed(draw: st.DrawFn, fact: Fact) -> Fact:
    """The fact with something before its subject, and perhaps another object."""
    prefix, target = draw(st.sampled_from(PREFIXES)), draw(st.sampled_from(TARGETS))
    prompt = Prompt(prefix + fact.prompt.left, fact.subject, fact.prompt.right)
    return dataclasses.replace(fact, prompt=prompt, target=fact.target if target is None else target)


def wrong_with(gate: Gate, facts: Sequence[Fact]) -> str:
    """What is wrong after editing `facts`, or nothing."""
    model = gate.base.twin()
    before = capture(model)
    try:
        update, _ = gate.editor.edit(model, facts)
        changed = differences(before, capture(model))
        snapshot = update.apply(model)
    except Exception as error:  # whatever it is, valid facts must not raise it
        return f"{type(error).__name__}: {error}"
    if changed:
        return f"computing the update changed {', '.join(changed)}"
    if tuple(update.facts) != tuple(facts):
        return "the update names other facts"
    if not bool(answers(model, facts).isfinite().all()):
        return "a probability is not finite"
    snapshot.restore(model)
    left = differences(before, capture(model))
    return f"undo left {', '.join(left)}" if left else ""


@pytest.mark.editing_property("contract.any-batch")
def test_any_batch(gate: Gate) -> None:
    """Every batch of valid facts is edited, whatever their number a subject, what stands before the subject, and the
    script, digits and braces of the object: nothing raises, probabilities stay finite, undo is exact
    (docs/writing-an-editor.md, sixth rule; EasyEdit, issues 247, 302, 303 and 390: broken by prefixes and tokens)."""
    found: list[str] = []
    nightly = settings.get_current_profile_name() == "nightly"

    @seed(gate.seed)
    @settings(
        max_examples=NIGHTLY_EXAMPLES if nightly else EXAMPLES,
        phases=[Phase.generate, Phase.shrink] if nightly else [Phase.generate],
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(batches(gate))
    def edit(facts: list[Fact]) -> None:
        wrong = wrong_with(gate, facts)
        if wrong:
            found.append(f"{wrong} [{'; '.join(f'{fact.prompt.text!r} -> {fact.target!r}' for fact in facts)}]")
            raise AssertionError(wrong)

    try:
        edit()
    except Exception:  # a violation, or Hypothesis on an editor that is not the same twice
        if not found:
            raise
    gate.judge("broken_batches", float(bool(found)), note="".join(found[-1:]))
