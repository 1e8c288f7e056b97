# SPDX-License-Identifier: Apache-2.0
"""Draws from any facts, the draws of the world as they were calibrated with, and samples that are written down."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kedit.datasets.errors import DatasetError
from kedit.datasets.samples import Sample, SampleError
from kedit.datasets.sampling import Sampler, group
from kedit.facts import Fact, Prompt, check_facts
from kedit.worlds import Sampler as WorldSampler
from kedit.worlds import World


def fact(subject: str, number: int, target: str = "new") -> Fact:
    return Fact(Prompt("", subject, f" has property {number} of"), target, "old", id=f"{subject}/{number}")


def facts_of(*counts: int) -> dict[str, list[Fact]]:
    return {f"S{i}": [fact(f"S{i}", k) for k in range(count)] for i, count in enumerate(counts)}


@pytest.fixture(scope="module")
def world_sampler() -> WorldSampler:
    return WorldSampler(World.generate(0))


def flat(sampler: WorldSampler, subjects: int, rounds: int, seed: int) -> list[Fact]:
    return [fact for facts in sampler.rounds(subjects, rounds, seed) for fact in facts]


# Digests of prompts and targets, from the sampler that the gate's thresholds were calibrated with.
CALIBRATED: tuple[tuple[str, Callable[..., Sequence[Fact]], tuple[int, ...], str], ...] = (
    ("distinct", WorldSampler.distinct, (1, 0), "f47e0caaa88726b6"),
    ("distinct", WorldSampler.distinct, (30, 0), "2f50c1f7212f92ed"),
    ("distinct", WorldSampler.distinct, (200, 7), "3477878332c5985b"),
    ("distinct", WorldSampler.distinct, (3, 900_000), "adf225825b7a91c7"),
    ("same subject", WorldSampler.same_subject, (2, 0), "0926ac4494143fc4"),
    ("same subject", WorldSampler.same_subject, (8, 3), "01d95fc54c59a5a9"),
    ("same subject", WorldSampler.same_subject, (13, 0), "4651af71f2865224"),
    ("density", WorldSampler.density, (36, 1, 0), "c840962994b0512f"),
    ("density", WorldSampler.density, (36, 2, 2), "95401ba4a54a20d5"),
    ("density", WorldSampler.density, (36, 3, 5), "013a3c4f0afbd9c4"),
    ("rounds", flat, (40, 3, 0), "f47037ef343652af"),
    ("rounds", flat, (5, 2, 1), "5637f33dfa54432f"),
)


@pytest.mark.parametrize(("kind", "draw", "arguments", "digest"), CALIBRATED)
def test_the_world_is_drawn_as_when_thresholds_were_calibrated(
    world_sampler: WorldSampler, kind: str, draw: Callable[..., Sequence[Fact]], arguments: tuple[int, ...], digest: str
) -> None:
    text = "\n".join(f"{fact.prompt.text} -> {fact.target}" for fact in draw(world_sampler, *arguments))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest, kind


def test_a_calibrated_draw_in_words(world_sampler: WorldSampler) -> None:
    assert [(fact.prompt.text, fact.target) for fact in world_sampler.distinct(3, 0)] == [
        ("Fort Hegus has a length of", "39"),
        ("Mouth Rouderk was born in the city of", "Glenholm"),
        ("Project Makem had an influence on", "Dunleavy"),
    ]


def test_one_subject_is_a_dense_one() -> None:
    groups = facts_of(5, 5, 5, 2)
    assert {Sampler(groups, dense=["S1"]).same_subject(3, seed)[0].subject for seed in range(20)} == {"S1"}
    assert {Sampler(groups).same_subject(3, seed)[0].subject for seed in range(20)} == {"S0", "S1", "S2"}
    with pytest.raises(DatasetError, match="'S9' is not in the data set"):
        Sampler(groups, dense=["S9"])


@pytest.mark.parametrize("length", [2, 3, 8])
def test_homogeneous_and_heterogeneous_differ_in_the_last_fact(length: int) -> None:
    sampler = Sampler(facts_of(*[1, 3] * 8))
    for seed in range(30):
        homogeneous, heterogeneous = sampler.homogeneous(length, seed)
        assert len(homogeneous) == len(heterogeneous) == length
        assert homogeneous[:-1] == heterogeneous[:-1]
        assert len({fact.subject for fact in heterogeneous}) == length
        assert len({fact.subject for fact in homogeneous}) == length - 1
        assert homogeneous[-1].subject == homogeneous[0].subject
        check_facts(homogeneous)
    assert sampler.homogeneous(length, 0) == sampler.homogeneous(length, 0) != sampler.homogeneous(length, 1)


def test_too_few_subjects_are_refused() -> None:
    with pytest.raises(DatasetError, match="length 1 has no first and last"):
        Sampler(facts_of(2, 1)).homogeneous(1, 0)
    with pytest.raises(DatasetError, match="at least 2 facts each: the data set has 0"):
        Sampler(facts_of(1, 1, 1)).homogeneous(2, 0)
    with pytest.raises(DatasetError, match="cannot draw 2 subjects"):
        Sampler(facts_of(2, 1)).homogeneous(3, 0)


def test_grouping_leaves_a_second_fact_with_one_prompt_out_and_counts_it() -> None:
    groups, left_out = group([fact("A", 0), fact("B", 0), fact("A", 1), fact("A", 0, "another")])
    assert left_out == 1
    assert groups == {"A": [fact("A", 0), fact("A", 1)], "B": [fact("B", 0)]}


SAMPLES = (
    ("distinct", {"n": 4}),
    ("same_subject", {"n": 3}),
    ("density", {"total": 6, "per_subject": 2}),
    ("rounds", {"subjects": 3, "rounds": 2}),
    ("homogeneous", {"length": 4}),
)


@pytest.mark.parametrize(("kind", "arguments"), SAMPLES)
def test_a_sample_is_written_down_and_replayed(tmp_path: Path, kind: str, arguments: dict[str, int]) -> None:
    sampler = Sampler(facts_of(*[3] * 8))
    sample = Sample.draw(sampler, kind, 5, **arguments)  # type: ignore[arg-type]
    sample.save(tmp_path / "sample.json")
    read = Sample.load(tmp_path / "sample.json")
    assert read == sample
    drawn = getattr(sampler, kind)(**arguments, seed=5)
    assert read.replay(Sampler(facts_of(*[3] * 8))) == (
        [list(facts) for facts in drawn] if kind in ("rounds", "homogeneous") else [drawn]
    )


def test_other_facts_are_refused(tmp_path: Path) -> None:
    groups = facts_of(*[3] * 8)
    sample = Sample.draw(Sampler(groups), "distinct", 0, n=2)
    with pytest.raises(SampleError, match="field 'source'"):
        sample.replay(Sampler(groups | {"S7": [fact("S7", 0, "else")]}))
    with pytest.raises(SampleError, match="field 'source'"):
        sample.replay(Sampler(groups, dense=["S7"]))
    sample.save(tmp_path / "sample.json")
    data = json.loads((tmp_path / "sample.json").read_text())
    data["sequences"][0][1]["prompt"] = "Somebody else has property 0 of"
    (tmp_path / "sample.json").write_text(json.dumps(data))
    with pytest.raises(SampleError, match="field 'sequences'"):
        Sample.load(tmp_path / "sample.json").replay(Sampler(groups))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", 2),
        ("kind", "groups"),
        ("arguments", {"n": "2"}),
        ("seed", None),
        ("source", 3),
        ("sequences", [[{"id": "x"}]]),
    ],
)
def test_a_damaged_sample_is_named(tmp_path: Path, field: str, value: object) -> None:
    path = tmp_path / "sample.json"
    Sample.draw(Sampler(facts_of(2, 2)), "distinct", 0, n=2).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(SampleError, match=f"sample.json: field '{field}'"):
        Sample.load(path)
    path.write_text("{")
    with pytest.raises(SampleError, match="not a readable JSON file"):
        Sample.load(path)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(SampleError, match="field 'arguments'"):
        Sample.draw(Sampler(facts_of(2, 2)), "distinct", 0, total=2)
    with pytest.raises(SampleError, match="field 'kind'"):
        Sample.draw(Sampler(facts_of(2, 2)), "groups", 0)  # type: ignore[arg-type]
