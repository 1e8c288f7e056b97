# SPDX-License-Identifier: Apache-2.0
"""PMET: two vectors searched for, one written, spread by square roots."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
import torch
from torch import Tensor

from editing_tests.library.editors.examples import ADA, SETTINGS, VALUE, model_of
from kedit.editors import load_editor
from kedit.locate_then_edit.keys import SubjectReader
from kedit.locate_then_edit.values import ValueConfig, optimise_values
from kedit.models import ModelError
from kedit.models.activations import Site, hooked, read
from kedit.models.tokens import Text, encode

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.mark.parametrize("family", ["gpt2", "gptj", "llama"])
def test_pmet_finds_what_two_vectors_inside_the_block_say(family: str) -> None:
    """Against a plain loop: whole model, one fact, vectors added by hooks to attention and MLP; the MLP's counts."""
    model = model_of(family)
    editor = load_editor("pmet", SETTINGS["pmet"] | {"value": VALUE | {"kl": 0.0}, "contexts": {"count": 0}})
    update, _ = editor.edit(model, [ADA])
    (row,) = encode(model.tokenizer, [Text(ADA.prompt, ADA.target)])
    ids, last = torch.tensor([row.ids]), row.subject_last
    base, deltas = {}, {kind: torch.zeros(model.d, requires_grad=True) for kind in ("attention", "value")}
    for kind in deltas:
        base[kind] = read(model, [row], [last], [Site(kind, 2)])[Site(kind, 2)][0]

    def adding(delta: Tensor) -> Any:
        def add(tensor: Tensor) -> Tensor:
            moved = tensor.clone()
            moved[0, last] = moved[0, last] + delta
            return moved

        return add

    adam = torch.optim.Adam(deltas.values(), lr=VALUE["lr"])
    for _ in range(VALUE["steps"]):
        with ExitStack() as stack:
            for kind, delta in deltas.items():
                stack.enter_context(hooked(model, Site(kind, 2), adding(delta)))
            log_probs = model.module(ids).logits.log_softmax(-1)
        loss = -sum(log_probs[0, row.target_start - 1 + t, token] for t, token in enumerate(row.target_ids))
        adam.zero_grad()
        (loss / len(row.target_ids)).backward()
        adam.step()
        with torch.no_grad():
            for kind, delta in deltas.items():
                delta *= min(1.0, float(VALUE["clamp"] * base[kind].norm() / delta.norm()))
    assert update.evidence is not None
    wanted = base["value"] + deltas["value"]
    torch.testing.assert_close(update.evidence.values[:, 0].float(), wanted.detach(), rtol=1e-3, atol=1e-4)


def test_pmets_two_residuals_add_up_to_the_blocks() -> None:
    """In a parallel block attention and MLP write side by side: both vectors are found alike, and what they add up to
    is what the block's output moves by."""
    model = model_of("gptj")
    config = ValueConfig(steps=3, lr=0.05, kl=0.0, clamp=100.0, stop=1e-6, keep="last")
    with model.frozen():
        both = optimise_values(model, [ADA], (0,), 2, ("",), config, places=("attention", "value"))
        swapped = optimise_values(model, [ADA], (0,), 2, ("",), config, places=("value", "attention"))
    torch.testing.assert_close(both.delta, swapped.delta, rtol=1e-4, atol=1e-6)
    (row,) = encode(model.tokenizer, [Text(ADA.prompt)])
    block, last = Site("block", 2), row.subject_last
    before = read(model, [row], [last], [block])[block]
    by_attention, by_mlp = (found.delta[:, 0].float() for found in (swapped, both))
    with (
        hooked(model, Site("attention", 2), lambda tensor: tensor + by_attention),
        hooked(model, Site("value", 2), lambda tensor: tensor + by_mlp),
    ):
        after = read(model, [row], [last], [block])[block]
    torch.testing.assert_close((after - before)[0], by_attention + by_mlp, rtol=1e-3, atol=1e-4)


def test_pmet_shares_the_residual_by_square_roots() -> None:
    model = model_of()
    update, _ = load_editor("pmet", SETTINGS["pmet"]).edit(model, [ADA])
    assert update.evidence is not None
    site = Site("value", 2)
    reader = SubjectReader(model, [ADA], ("",), "flat")
    gap = update.evidence.values - reader.read(model, bare=[site])[site]
    torch.testing.assert_close(update.evidence.layers[1].residuals, gap / 2**0.5, rtol=1e-4, atol=1e-5)
    name = model.weight_name(1)
    with model.swapped({name: update.changes[name].new_weight(model.weight(1))}):
        left = update.evidence.values - reader.read(model, bare=[site])[site]
    torch.testing.assert_close(update.evidence.layers[2].residuals, left, rtol=1e-4, atol=1e-5)


def test_pmet_needs_a_block_below_the_one_it_searches_in() -> None:
    with pytest.raises(ModelError, match="let the last edited layer be above it"):
        load_editor("pmet", SETTINGS["pmet"] | {"layers": [0]}).edit(model_of(), [ADA])
