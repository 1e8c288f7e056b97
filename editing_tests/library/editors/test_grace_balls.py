# SPDX-License-Identifier: Apache-2.0
"""GRACE on hand-made keys: what a ball answers, and how balls split and grow."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kedit.editors.grace import place
from kedit.models.codebook import Codebook

LAYER, D, F = 1, 16, 24
BASE, VALUE = torch.zeros(F), torch.ones(D)


def at(distance: float) -> Tensor:
    point = BASE.clone()
    point[3] = distance
    return point


def one_entry(label: tuple[int, ...] = (4, 6)) -> Codebook:
    return place(Codebook.empty(LAYER, F, D), BASE, VALUE, label, 1.0)[0]


def test_a_far_query_is_an_entry_of_its_own() -> None:
    book, entry = place(one_entry(), at(2.1), VALUE, (4, 6), 1.0)
    assert (len(book), entry, book.radii.tolist()) == (2, 1, [1.0, 1.0])


def test_another_answer_nearby_splits_the_balls_also_when_the_mean_id_is_equal() -> None:
    book, entry = place(one_entry((4, 6)), at(1.6), 2 * VALUE, (5, 5), 1.0)
    assert entry == 1 and book.labels == ((4, 6), (5, 5))
    assert book.radii[1] == pytest.approx(0.8) and 0.79 < float(book.radii[0]) < 0.8
    assert book.answering(torch.stack([at(0.79), at(0.81), at(1.6), at(2.5)])).tolist() == [0, 1, 1, -1]


def test_the_same_answer_nearby_grows_the_ball_and_within_it_changes_nothing() -> None:
    book, entry = place(one_entry(), at(1.6), VALUE, (4, 6), 1.0)
    assert (len(book), entry) == (1, 0)
    assert 1.6 <= float(book.radii[0]) < 1.601
    assert book.answering(at(1.6)[None]).tolist() == [0]
    same, entry = place(book, at(0.3), VALUE, (4, 6), 1.0)
    assert entry == 0 and torch.equal(same.radii, book.radii)


def test_another_answer_at_the_same_query_takes_the_entry_over() -> None:
    book, entry = place(one_entry(), BASE, VALUE, (5, 5), 1.0)
    assert (len(book), entry, book.labels, book.radii.tolist()) == (1, 0, ((5, 5),), [1.0])


def test_the_entry_that_is_taken_over_answers_its_new_query_however_small_its_ball_was() -> None:
    origin = BASE.clone()
    origin[0] = 100.0
    tiny = Codebook(LAYER, origin[None], VALUE[None], torch.tensor([1e-4]), ((4, 6),))
    query = origin + at(5e-3)
    book, entry = place(tiny, query, VALUE, (5, 5), 1.0)
    assert (len(book), entry, book.labels) == (1, 0, ((5, 5),))
    assert book.answering(query[None]).tolist() == [0]


def test_without_a_hit_the_output_is_the_very_tensor_and_with_one_the_other_rows_keep_their_bits() -> None:
    keys = torch.eye(F)[:2]
    book = Codebook(LAYER, keys, torch.full((2, D), 7.0), torch.tensor([0.5, 0.25]), ((1,), (2,)))
    output = torch.randn(1, 4, D, generator=torch.Generator().manual_seed(0))
    far = torch.full((1, 4, F), 3.0)
    assert book.output(far, output) is output
    queries = far.clone()
    queries[0, 1] = keys[0] + 0.49 * torch.eye(F)[5]
    queries[0, 2] = keys[1] + 0.26 * torch.eye(F)[5]
    changed = book.output(queries, output)
    assert torch.equal(changed[0, 1], book.values[0])
    assert torch.equal(changed[0, [0, 2, 3]], output[0, [0, 2, 3]])
    assert book.answering(queries).tolist() == [[-1, 0, -1, -1]]
