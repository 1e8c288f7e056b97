# SPDX-License-Identifier: Apache-2.0
"""Causal tracing on a tiny model, whose facts flow as its training made them flow."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

from kedit.facts import Fact, FactError
from kedit.models import LanguageModel, ModelError, score_targets
from kedit.models.activations import Site
from kedit.models.interventions import Places, overwriting_many, watch
from kedit.models.tokens import Text, collate, encode, subject_spans
from kedit.paths import model_folder
from kedit.probing import TraceConfig, Tracing, trace
from kedit.probing.tracing import KINDS, ROLES, embedding_deviation, roles_of, trace_fact
from kedit.worlds import Sampler, World

LAYERS = range(5)
QUICK = TraceConfig(samples=2)


@cache
def model() -> LanguageModel:
    return LanguageModel.from_pretrained(model_folder("tiny-gpt2"))


@cache
def facts() -> tuple[Fact, ...]:
    return tuple(Sampler(World.generate(0)).distinct(4, 0))


@cache
def traced() -> Tracing:
    return trace(model(), facts(), LAYERS, QUICK)


def test_the_subject_is_decisive_early_and_the_last_token_late() -> None:
    found = traced()
    assert found.total > 0.3
    subject, last = found.at("block", ROLES[2]), found.at("block", ROLES[-1])
    assert min(subject[:2]) > 0.6 * found.total
    assert max(last[:2]) < 0.3 * found.total
    assert abs(subject[4]) < 1e-6  # nothing above reads it
    assert last[4] > 0.6 * found.total
    assert found.at("value", ROLES[2])[0] > 0.6 * found.total
    assert max(found.at("attention", ROLES[-1])[2:4]) > max(found.at("attention", ROLES[2])[2:4]) + 0.1


def test_without_noise_nothing_is_lost_or_restored() -> None:
    found = trace(model(), facts()[:2], [0, 3], TraceConfig(samples=2, deviations=0.0))
    torch.testing.assert_close(found.corrupted, found.clean, rtol=1e-5, atol=1e-7)
    assert float(found.effects.nan_to_num().abs().max()) < 1e-5


def test_the_last_state_restored_gives_the_first_target_token_back() -> None:
    single = [
        fact for fact in facts() if len(encode(model().tokenizer, [Text(fact.prompt, fact.true)])[0].target_ids) == 1
    ]
    fact = single[0]
    found = trace_fact(model(), fact, [4], 0.5, QUICK)
    assert float(found.effects[0, 0, -1]) == pytest.approx(found.clean - found.corrupted, abs=1e-5)
    assert found.clean - found.corrupted > 0.05


def test_the_measure_is_the_probability_of_the_whole_object() -> None:
    scores = score_targets(model(), [(fact.prompt.text, fact.true) for fact in facts()])
    assert max(len(score.log_probs) for score in scores) > 1
    expected = torch.stack([score.log_probs.sum().exp() for score in scores])
    torch.testing.assert_close(traced().clean, expected, rtol=1e-4, atol=0)


def test_everything_restored_is_the_clean_pass() -> None:
    rows = encode(model().tokenizer, [Text(fact.prompt, fact.true) for fact in facts()])
    batch = collate(rows, side="left")
    places = [(i, int(batch.first[i]) + t) for i, row in enumerate(rows) for t in range(len(row.ids))]
    lines, columns = torch.tensor(places).T
    sites = [Site(kind, layer) for kind in ("value", "attention", "block") for layer in LAYERS]  # type: ignore[arg-type]
    seen, clean = watch(model(), batch, [Site("embedding", 0), *sites])

    def put(site: Site, values: Tensor) -> dict[Site, Places]:
        return {site: Places(lines, columns, values)}

    noise = put(Site("embedding", 0), torch.randn(len(places), model().d, generator=torch.Generator().manual_seed(0)))
    with overwriting_many(model(), batch, noise):
        _, lost = watch(model(), batch, ())
    assert float((lost - clean)[lines, columns].abs().max()) > 0.1
    restored = {site: Places(lines, columns, seen[site][lines, columns]) for site in sites}
    with overwriting_many(model(), batch, noise | restored):
        _, back = watch(model(), batch, ())
    torch.testing.assert_close(back[lines, columns], clean[lines, columns])


def test_effects_do_not_depend_on_the_batch() -> None:
    deviation = embedding_deviation(model(), facts())
    small = TraceConfig(samples=2, batch_tokens=40)
    alone = trace(model(), facts()[1:2], [1, 3], small, deviation=deviation)
    together = traced()
    torch.testing.assert_close(alone.effects[0], together.effects[1][:, [1, 3]], rtol=1e-4, atol=1e-5, equal_nan=True)
    assert float(alone.corrupted[0]) == pytest.approx(float(together.corrupted[1]), rel=1e-4)


def test_equal_seeds_give_equal_noise_and_others_do_not() -> None:
    again = trace(model(), facts()[:2], [1], QUICK, deviation=0.1)
    torch.testing.assert_close(
        again.effects, trace(model(), facts()[:2], [1], QUICK, deviation=0.1).effects, rtol=0, atol=0, equal_nan=True
    )
    other = trace(model(), facts()[:2], [1], TraceConfig(samples=2, seed=1), deviation=0.1)
    assert (again.corrupted != other.corrupted).all()


def test_a_window_restores_the_blocks_around_its_layer() -> None:
    wide = trace(model(), facts()[:2], [1], TraceConfig(samples=2, window=3))
    one = trace(model(), facts()[:2], [0, 1, 2], TraceConfig(samples=2))
    assert (wide.window, one.window) == (3, 1)
    where = ROLES.index("last subject token")
    together = wide.average[KINDS.index("value"), 0, where]
    assert together >= one.average[KINDS.index("value"), :, where].max() - 0.02
    torch.testing.assert_close(wide.effects[:, 0], one.effects[:, 0, 1:2], equal_nan=True)


def test_roles_by_hand() -> None:
    first, middle, last, subsequent, further, end = ROLES
    assert roles_of(range(1, 4), 8) == (None, first, middle, last, subsequent, further, further, end)
    assert roles_of(range(1), 3) == (last, subsequent, end)
    assert roles_of(range(2), 3) == (first, last, end)
    assert roles_of(range(2, 4), 4) == (None, None, first, last)


def test_spans_end_where_rows_say() -> None:
    texts = [Text(fact.prompt, prefix="Yesterday. ") for fact in facts()]
    rows = encode(model().tokenizer, texts)
    for text, row, span in zip(texts, rows, subject_spans(model().tokenizer, texts), strict=True):
        assert span[-1] == row.subject_last
        assert model().tokenizer.decode(list(row.ids[span.start : span.stop])).strip() == text.prompt.subject


def test_nothing_to_trace_is_refused() -> None:
    with pytest.raises(FactError, match="no facts to trace"):
        trace(model(), [], [0])
    with pytest.raises(ModelError, match=r"not all in 0\.\.4"):
        trace(model(), facts(), [7])


def test_progress_is_told_after_each_fact() -> None:
    told: list[tuple[int, int]] = []
    trace(model(), facts()[:2], [0], TraceConfig(samples=1), after=lambda done, of: told.append((done, of)))
    assert told == [(1, 2), (2, 2)]
