# SPDX-License-Identifier: Apache-2.0
"""Reading, overwriting and replaying hidden states, over every family, padding side and batching."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from editing_tests.library.profiles import drawn
from editing_tests.library.random_models import BLOCKS, FAMILIES, WIDTH, random_model
from kedit.models import LanguageModel, ModelError
from kedit.models.activations import Site, read, run
from kedit.models.interventions import overwriting
from kedit.models.recording import record
from kedit.models.tokens import Row, Side, collate

SITES = [Site(kind, layer) for kind in ("key", "value", "block") for layer in (0, 2)]  # type: ignore[arg-type]


def random_rows(seed: int, n: int, vocabulary: int) -> list[Row]:
    rng = random.Random(seed)
    rows = []
    for _ in range(n):
        length = rng.randint(1, 12)
        rows.append(Row(tuple(rng.randrange(vocabulary) for _ in range(length)), rng.randrange(length), length))
    return rows


def alone(model: LanguageModel, row: Row, index: int, site: Site) -> Tensor:
    """The site by a plain hook on one unpadded row: an independent way to the same number."""
    seen: list[Tensor] = []

    def hook(_module: object, args: tuple[Tensor, ...], output: object) -> None:
        value = args[0] if site.kind == "key" else output[0] if isinstance(output, tuple) else output
        seen.append(value[0, index])  # type: ignore[index]

    module = model.blocks[site.layer] if site.kind == "block" else model.down_projection(site.layer)
    handle = module.register_forward_hook(hook)
    with torch.no_grad():
        model.module(input_ids=torch.tensor([row.ids]))
    handle.remove()
    return seen[0]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("side", ["left", "right"])
def test_reading_in_a_padded_batch_equals_reading_alone(family: str, side: Side) -> None:
    model = random_model(family)
    rows = random_rows(1, 7, model.head_size)
    indices = [row.subject_last or 0 for row in rows]
    found = read(model, rows, indices, SITES, side=side, batch_tokens=30)
    for site in SITES:
        for i, row in enumerate(rows):
            torch.testing.assert_close(found[site][i], alone(model, row, indices[i], site), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@drawn(0.2)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(0, BLOCKS - 1), st.sampled_from(["left", "right"]))
def test_replay_equals_the_whole_model_with_the_state_overwritten(
    family: str, seed: int, n: int, layer: int, side: Side
) -> None:
    model = random_model(family)
    rows = random_rows(seed, n, model.head_size)
    starts = [row.subject_last or 0 for row in rows]
    new = torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad(), model.frozen():
        replay = record(model, rows, starts, layer)
        hidden = replay.hidden.clone()
        hidden[:, 0] = new
        short = model.final_norm(replay.forward(model, hidden))
        batch = collate(rows, side=side)
        with overwriting(model, Site("block", layer), batch, starts, new):
            whole = run(model, batch, use_cache=False).last_hidden_state
    for i, row in enumerate(rows):
        first, length = int(batch.first[i]), len(row.ids)
        expected = whole[i, first + starts[i] : first + length]
        torch.testing.assert_close(short[i, : length - starts[i]], expected, rtol=1e-4, atol=1e-5)


def rows_behind_contexts(seed: int, n: int, vocabulary: int) -> list[Row]:
    """Rows of which most begin with one of two contexts, and whose subject ends behind it."""
    rng = random.Random(seed)
    contexts = [tuple(rng.randrange(vocabulary) for _ in range(length)) for length in (6, 9)]
    rows = []
    for i, row in enumerate(random_rows(seed, n, vocabulary)):
        context = contexts[i % 3] if i % 3 < 2 else ()
        rows.append(Row(context + row.ids, len(context) + (row.subject_last or 0), len(context) + row.target_start))
    return rows


@pytest.mark.parametrize("family", FAMILIES)
@drawn(0.2)
@given(st.integers(0, 2**31), st.integers(6, 14), st.integers(0, BLOCKS - 1), st.sampled_from([1, 40, 10_000]))
def test_common_beginnings_and_small_batches_record_the_same(
    family: str, seed: int, n: int, layer: int, batch_tokens: int
) -> None:
    model = random_model(family)
    rows = rows_behind_contexts(seed, n, model.head_size)
    starts = [row.subject_last or 0 for row in rows]
    with torch.no_grad(), model.frozen():
        replay = record(model, rows, starts, layer, batch_tokens=batch_tokens)
        together = replay.forward(model, replay.hidden)
        for i, (row, start) in enumerate(zip(rows, starts, strict=True)):
            lone = record(model, [row], [start], layer)
            length = len(row.ids) - start
            for found, expected in (
                (replay.hidden[i], lone.hidden[0]),
                (together[i], lone.forward(model, lone.hidden)[0]),
            ):
                torch.testing.assert_close(found[:length], expected, rtol=1e-4, atol=1e-5)


def test_rows_behind_one_context_run_it_once() -> None:
    model = random_model("gpt2")
    rows = rows_behind_contexts(0, 12, model.head_size)
    tokens: list[int] = []
    handle = model.blocks[0].register_forward_pre_hook(lambda _module, args: tokens.append(args[0].shape[:2].numel()))
    record(model, rows, [row.subject_last or 0 for row in rows], 1, batch_tokens=1)
    handle.remove()
    assert sum(tokens) <= sum(len(row.ids) for row in rows) - 3 * (6 + 9)


@pytest.mark.parametrize("family", ["gpt2", "gptj", "qwen2"])
def test_selected_rows_replay_as_before(family: str) -> None:
    model = random_model(family)
    rows = random_rows(3, 5, model.head_size)
    with torch.no_grad(), model.frozen():
        replay = record(model, rows, [row.subject_last or 0 for row in rows], 1)
        part = torch.tensor([4, 1])
        torch.testing.assert_close(
            replay.select(part).forward(model, replay.hidden[part]), replay.forward(model, replay.hidden)[part]
        )


def test_a_value_and_its_block_move_together() -> None:
    """In every family a vector added to the MLP's output is added to the block's output."""
    for family in FAMILIES:
        model = random_model(family)
        rows = random_rows(5, 3, model.head_size)
        indices = [row.subject_last or 0 for row in rows]
        batch, push = collate(rows), torch.ones(3, WIDTH)
        sites = [Site("value", 1), Site("block", 1)]
        before = read(model, rows, indices, sites)
        with overwriting(model, sites[0], batch, indices, before[sites[0]] + push), torch.no_grad():
            seen: list[Tensor] = []
            handle = model.blocks[1].register_forward_hook(
                lambda _m, _a, out, seen=seen: seen.append(out[0] if isinstance(out, tuple) else out)  # type: ignore[misc]
            )
            run(model, batch, use_cache=False)
            handle.remove()
        after = seen[0][torch.arange(3), batch.columns(indices)]
        torch.testing.assert_close(after, before[sites[1]] + push, rtol=1e-5, atol=1e-5)


def test_overwriting_refuses_a_step_of_generation() -> None:
    model = random_model("gpt2")
    rows = random_rows(1, 2, model.head_size)
    batch = collate(rows)
    with overwriting(model, Site("block", 0), batch, [0, 0], torch.zeros(2, WIDTH)):
        with pytest.raises(ModelError, match="run the same batch without a cache"):
            model.module(input_ids=torch.tensor([[1]]))


def test_hooks_are_gone_after_an_error() -> None:
    model = random_model("gptj")
    batch = collate(random_rows(1, 2, model.head_size))
    with pytest.raises(RuntimeError, match="on purpose"):
        with overwriting(model, Site("block", 0), batch, [0, 0], torch.zeros(2, WIDTH)):
            raise RuntimeError("on purpose")
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.module.modules()]
    assert sum(hooks) == 0


def test_replay_leaves_the_attention_as_it_was_after_an_error() -> None:
    model = random_model("llama")
    before = model.module.config._attn_implementation
    replay = record(model, random_rows(1, 2, model.head_size), [0, 0], 0)

    def fail(_module: object, _args: object) -> None:
        raise RuntimeError("on purpose")

    handle = model.blocks[1].register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="on purpose"):
        replay.forward(model, replay.hidden)
    handle.remove()
    assert before == model.module.config._attn_implementation == "sdpa"


def test_replay_names_an_attention_it_cannot_mask() -> None:
    model = random_model("gpt2")
    model.module.config._attn_implementation = "flash_attention_2"
    with pytest.raises(ModelError, match="load the model with one of eager, sdpa"):
        record(model, random_rows(1, 2, model.head_size), [0, 0], 1)
