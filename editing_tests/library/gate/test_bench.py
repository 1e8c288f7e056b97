# SPDX-License-Identifier: Apache-2.0
"""What a worker loads."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from kedit.gate.bench import Bench
from kedit.gate.cases import Case
from kedit.worlds import Sampler, World


@pytest.mark.parametrize("card", [None, '{"recipe": {"seed": 1, "world_seed": 3}}'])
def test_the_world_is_the_one_the_model_was_trained_on(tmp_path, card):
    if card is not None:
        (tmp_path / "card.json").write_text(card)
    run = SimpleNamespace(options=SimpleNamespace(full=None))
    found = Bench(run).source(Case("memit", tmp_path.name, str(tmp_path)))
    world, other = (World.generate(seed) for seed in ((0, 3) if card is None else (3, 0)))
    assert found.sampler.distinct(5, 1) == Sampler(world).distinct(5, 1) != Sampler(other).distinct(5, 1)
    assert found.texts(5, 1) == world.held_out(5, 1) != other.held_out(5, 1)


THREADS = """
import pytest
import torch

@pytest.mark.editing_property("efficacy.single")
def test_threads(gate):
    gate.judge("ES", torch.get_num_threads())
"""


def test_threads_are_one_or_as_many_as_asked_for(run, pytester):
    pytester.makepyfile(THREADS)
    before = torch.get_num_threads()
    try:
        for asked, told in (([], "1"), (["--editing-threads", "2"], "2")):
            result = run("--editor", "memit", "--model", "tiny-gpt2", *asked)
            result.stdout.fnmatch_lines([f"*efficacy.single*ES*{told} >= 0.85*passed"])
    finally:
        torch.set_num_threads(before)
