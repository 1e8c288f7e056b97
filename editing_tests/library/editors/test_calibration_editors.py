# SPDX-License-Identifier: Apache-2.0
"""The editors that thresholds are calibrated with are right or wrong in the one way they say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from editing_tests.library.editors.examples import ADA, BORN, COMMON, PLAYS, model_of
from editing_tests.references.adds_again import AddsAgain
from editing_tests.references.counts_twice import CountsTwice
from editing_tests.references.rehearses import Rehearses
from editing_tests.references.remembers_facts import RemembersFacts
from kedit.editors import Editor, load_editor
from kedit.facts import Fact
from kedit.models import LanguageModel

SETTINGS: dict[str, Any] = COMMON | {"layers": [1, 2], "ridge": 0.6}


@pytest.fixture
def model(own_cache: None) -> LanguageModel:
    return model_of("gpt2")


def weights_after(model: LanguageModel, editor: Editor, *calls: list[Fact]) -> list[dict[int, Tensor]]:
    """The edited weights after each call of one session."""
    edited, state, found = model.copy(), None, []
    for facts in calls:
        update, state = editor.edit(edited, facts, state)
        update.apply(edited)
        found.append({layer: edited.weight(layer).double().clone() for layer in (1, 2)})
    return found


def test_a_sequence_that_is_remembered_ends_where_one_merged_batch_does(model: LanguageModel) -> None:
    later = replace(BORN, target="2012")
    sequence = weights_after(model, RemembersFacts(**SETTINGS), [BORN], [ADA], [PLAYS], [later])
    merge = load_editor("memit-merge", SETTINGS)
    for after, batch in zip(sequence, ([BORN], [BORN, ADA], [BORN, ADA, PLAYS], [later, ADA, PLAYS]), strict=True):
        (once,) = weights_after(model, merge, batch)
        for layer in (1, 2):
            torch.testing.assert_close(after[layer], once[layer], rtol=1e-4, atol=1e-6)
    assert (sequence[0][1] - sequence[1][1]).norm() > 1e-3


def test_only_groups_with_a_new_fact_get_a_new_value(model: LanguageModel) -> None:
    editor = RemembersFacts(**SETTINGS)
    _, first = editor.edit(model, [BORN, ADA])
    _, second = editor.edit(model, [PLAYS], first)
    assert second.targets[(ADA,)] is first.targets[(ADA,)]
    assert set(second.targets) == {(ADA,), (BORN, PLAYS)}
    assert set(first.targets) == {(ADA,), (BORN,)}


def test_a_sequence_that_is_rehearsed_ends_where_tuning_on_all_facts_does(model: LanguageModel) -> None:
    settings = {"layer": 1, "epsilon": 1e9, "lr": 5e-3, "steps": 5}
    after = weights_after(model, Rehearses(**settings), [BORN], [ADA, PLAYS])
    for found, facts in zip(after, ([BORN], [BORN, ADA, PLAYS]), strict=True):
        (once,) = weights_after(model, load_editor("ft-l", settings), facts)
        assert torch.equal(found[1], once[1])


def test_adding_again_sums_what_d4s_would_put_in_the_place_of_the_weights(model: LanguageModel) -> None:
    calls = [BORN], [ADA], [BORN]
    right = weights_after(model, load_editor("d4s", SETTINGS), *calls)
    wrong = weights_after(model, AddsAgain(**SETTINGS), *calls)[-1]
    for layer in (1, 2):
        total = model.weight(layer).double() + sum(after[layer] for after in right)
        torch.testing.assert_close(wrong[layer], total, rtol=1e-4, atol=1e-5)


def test_counting_twice_is_right_once_and_wrong_from_then_on(model: LanguageModel) -> None:
    right = weights_after(model, load_editor("d4s", SETTINGS), [BORN], [ADA])
    wrong = weights_after(model, CountsTwice(**SETTINGS), [BORN], [ADA])
    assert torch.equal(right[0][1], wrong[0][1])
    assert not torch.allclose(right[1][1], wrong[1][1], atol=1e-4)
