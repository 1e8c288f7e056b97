# SPDX-License-Identifier: Apache-2.0
"""Draws of facts."""

from __future__ import annotations

from collections import Counter

import pytest

from kedit.facts import check_facts
from kedit.worlds import World, WorldError
from kedit.worlds.sampling import Sampler


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return Sampler(World.generate(0))


@pytest.mark.parametrize("n", [1, 30, 200])
def test_distinct(sampler: Sampler, n: int) -> None:
    facts = sampler.distinct(n, seed=0)
    assert len({fact.subject for fact in facts}) == len(facts) == n
    assert facts == sampler.distinct(n, seed=0) != sampler.distinct(n, seed=1)


@pytest.mark.parametrize("n", [2, 8, 12, 13])
def test_same_subject(sampler: Sampler, n: int) -> None:
    facts = sampler.same_subject(n, seed=0)
    assert len({fact.subject for fact in facts}) == 1
    assert len({fact.relation for fact in facts}) == n
    check_facts(facts)


@pytest.mark.parametrize("per_subject", [1, 2, 3])
def test_density(sampler: Sampler, per_subject: int) -> None:
    facts = sampler.density(36, per_subject, seed=2)
    assert set(Counter(fact.subject for fact in facts).values()) == {per_subject}
    assert len(set(facts)) == len(facts) == 36
    check_facts(facts)


def test_rounds_return_to_the_subjects_with_other_facts(sampler: Sampler) -> None:
    rounds = sampler.rounds(40, 3, seed=0)
    assert [len(facts) for facts in rounds] == [40, 40, 40]
    assert len({tuple(fact.subject for fact in facts) for facts in rounds}) == 1
    together = [fact for facts in rounds for fact in facts]
    assert len(set(together)) == 120
    check_facts(together)


def test_nothing_stands_before_the_subject(sampler: Sampler) -> None:
    drawn = sampler.distinct(250, 0) + sampler.same_subject(12, 0) + sampler.density(36, 3, 0)
    assert {fact.prompt.left for fact in drawn} == {""}


def test_too_much_is_refused(sampler: Sampler) -> None:
    with pytest.raises(WorldError, match="cannot draw 251 subjects"):
        sampler.distinct(251, seed=0)
    with pytest.raises(WorldError, match="at least 17 facts each: the world has 0"):
        sampler.same_subject(17, seed=0)
    with pytest.raises(WorldError, match="not a multiple of per_subject 5"):
        sampler.density(36, 5, seed=0)
