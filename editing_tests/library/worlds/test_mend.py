# SPDX-License-Identifier: Apache-2.0
"""MEND's weights for tiny models: halves that share no subject, edits the gate does not ask, a file that is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kedit.hypernetworks.storage import find, read_card
from kedit.models import LanguageModel
from kedit.paths import fixtures_dir
from kedit.worlds import World, mend
from kedit.worlds.__main__ import main
from kedit.worlds.editing_examples import EditingExamples, halve

WORLD = World.generate(0)
HALVES = halve(WORLD, 3)


def test_the_halves_share_no_subject_and_leave_none_out() -> None:
    parts = [{subject.name for subject in part} for part in (HALVES.seen, HALVES.validation, HALVES.unseen)]
    assert [len(part) for part in parts] == [125, 25, 100]
    assert set.union(*parts) == {subject.name for subject in WORLD.subjects}
    assert halve(WORLD, 3) == HALVES != halve(WORLD, 4)


def test_examples_are_counterfactuals_of_their_half_that_the_world_does_not_request() -> None:
    seen = {subject.name for subject in HALVES.seen}
    others = {subject.name for subject in WORLD.subjects} - seen
    requested = {fact.prompt.text: fact for fact in WORLD.facts()}
    held = {(entry.relation.name, entry.true) for entry in WORLD.entries}
    drawn = EditingExamples(WORLD, HALVES.seen, seed=0).draw(5, 200)
    assert len({example.fact.subject for example in drawn}) > 60
    for example in drawn:
        fact, request = example.fact, requested[example.fact.prompt.text]
        assert replace(fact, target=request.target) == request
        assert fact.target not in (request.true, request.target)
        assert (fact.relation, fact.target) in held
        assert example.outer[0] == fact.prompt.text and example.outer[1] in fact.paraphrases
        for text in (*example.outer, *example.locality):
            assert not any(name in text for name in others)
        near, _ = example.locality
        assert fact.prompt.right in near and fact.subject not in near


def test_draws_depend_on_seed_and_number_alone() -> None:
    examples = EditingExamples(WORLD, HALVES.seen, seed=0)
    first = examples.draw(1, 4)
    examples.draw(2, 4)
    assert examples.draw(1, 4) == first == EditingExamples(WORLD, HALVES.seen, seed=0).draw(1, 4)
    assert examples.draw(2, 4) != first != EditingExamples(WORLD, HALVES.seen, seed=1).draw(1, 4)


def test_the_command_writes_weights_that_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, few in (("_VALIDATION", 2), ("_MEASURED", 2), ("_EDITS", 2)):
        monkeypatch.setattr(mend, name, few)
    folder, out = fixtures_dir() / "models" / "tiny-qwen2", tmp_path / "weights.safetensors"
    arguments = ["train-mend", "--model", str(folder), "--out", str(out), "--steps", "2"]
    assert main(arguments) == 0
    assert "seen subjects: ES" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]
    card = read_card(out)
    assert (card["model"], card["recipe"]["steps"], card["recipe"]["layers"]) == ("tiny-qwen2", 2, [2, 3, 4])
    assert set(card["measured"]) == {"seen subjects", "unseen subjects"}
    assert find(tmp_path, LanguageModel.from_pretrained(folder).origin) == out
    stored = out.read_bytes()
    assert main(arguments) == 1
    assert "already holds finished weights; choose another --out" in capsys.readouterr().err
    assert out.read_bytes() == stored


def test_a_folder_without_a_model_is_refused_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train-mend", "--model", str(tmp_path), "--out", str(tmp_path / "w.safetensors")]) == 1
    assert "is not a model folder" in capsys.readouterr().err
