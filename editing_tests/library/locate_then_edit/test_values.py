# SPDX-License-Identifier: Apache-2.0
"""The value optimiser against a plain loop over the whole model, and its independence of company."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from editing_tests.library.random_models import FAMILIES, random_model
from kedit.facts import Fact, Prompt
from kedit.locate_then_edit import values
from kedit.locate_then_edit.groups import equal_keys, members
from kedit.locate_then_edit.value_loss import loss_chunks
from kedit.locate_then_edit.values import ValueConfig, optimise_values
from kedit.models import LanguageModel, replay
from kedit.models.activations import Site

CONTEXTS = ("", "Rain fell all morning. ", "2012. ")
CONFIG = ValueConfig(steps=6, lr=0.03, clamp=2.0, stop=1e-6, weight_decay=0.02)


def fact(subject: str, template: str, target: str) -> Fact:
    return Fact(Prompt.from_template(template, subject), target, "the old one")


FACTS = [
    fact("Mira Solano", "{} is a citizen of", "Spain"),
    fact("Ada", "{} was born in the year", "2012"),
    fact("Mira Solano", "{} plays for", "Głogów"),
    fact("Ada", "The mother of {} is", "Eve May"),
]


def plain_loss(
    model: LanguageModel, facts: Sequence[Fact], layer: int, delta: Tensor, base: Tensor, reference: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The objective of one group written down naively, one unpadded text at a time."""

    def log_probs(text: str, subject_end: int) -> tuple[Tensor, list[int]]:
        encoded = model.tokenizer(text, return_offsets_mapping=True)
        last = max(i for i, (a, b) in enumerate(encoded["offset_mapping"]) if a < b and a < subject_end)

        def add(_module: object, _args: object, output: object) -> object:
            hidden = (output[0] if isinstance(output, tuple) else output).clone()  # type: ignore[union-attr]
            hidden[0, last] = hidden[0, last] + delta
            return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

        handle = model.blocks[layer].register_forward_hook(add)
        logits = model.module(input_ids=torch.tensor([encoded["input_ids"]])).logits[0]
        handle.remove()
        return logits.log_softmax(-1), encoded["input_ids"]

    total = torch.zeros(())
    for one in facts:
        for context in CONTEXTS:
            prompt = context + one.prompt.text
            found, ids = log_probs(f"{prompt} {one.target}", len(context) + one.prompt.subject_span[1])
            start = len(model.tokenizer(prompt)["input_ids"])
            nll = -sum(found[i - 1, ids[i]] for i in range(start, len(ids))) / (len(ids) - start)
            total = total + nll / (len(facts) * len(CONTEXTS))
    about, _ = log_probs(f"{facts[0].subject} is a", len(facts[0].subject))
    now = about[-1]
    before = now.detach() if reference is None else reference
    total = total + CONFIG.kl * (now.exp() * (now - before)).sum()
    return total + CONFIG.weight_decay * (delta.square().sum() + 1e-24).sqrt() / base.norm() ** 2, before


@pytest.mark.parametrize("family", FAMILIES)
def test_the_batched_path_finds_what_the_plain_loop_finds(family: str) -> None:
    model = random_model(family)
    groups = equal_keys(model, FACTS)
    layer = 1
    with model.frozen():
        values = optimise_values(model, FACTS, groups, layer, CONTEXTS, CONFIG)
        for g, group in enumerate(members(groups)):
            base = values.base[:, g].float()
            delta = torch.zeros(model.d, requires_grad=True)
            adam = torch.optim.Adam([delta], lr=CONFIG.lr)
            best, best_loss, reference = torch.zeros(model.d), float("inf"), None
            for step in range(CONFIG.steps + 1):
                loss, reference = plain_loss(model, [FACTS[i] for i in group], layer, delta, base, reference)
                if loss.item() < best_loss:
                    best, best_loss = delta.detach().clone(), loss.item()
                if step == CONFIG.steps:
                    break
                adam.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                adam.step()
                with torch.no_grad():
                    delta *= min(1.0, float(CONFIG.clamp * base.norm() / delta.norm()))
            assert best.any()
            assert values.loss[g] == pytest.approx(best_loss, rel=1e-3)
            torch.testing.assert_close(values.delta[:, g].float(), best, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("family", ["gpt2", "qwen2"])
def test_a_tied_head_and_its_untied_copy_give_one_value(family: str) -> None:
    """Pitfall 64."""
    model = random_model(family)
    assert model.module.config.tie_word_embeddings
    module = copy.deepcopy(model.module)
    module.config.tie_word_embeddings = False
    module.lm_head.weight = nn.Parameter(module.lm_head.weight.detach().clone())
    untied = LanguageModel(module, model.tokenizer)
    assert len(list(module.parameters())) == len(list(model.module.parameters())) + 1
    found = []
    for one in (model, untied):
        with one.frozen():
            found.append(optimise_values(one, FACTS[:2], [0, 1], 1, CONTEXTS, CONFIG))
    assert torch.equal(found[0].delta, found[1].delta) and found[0].delta.any()


@pytest.mark.parametrize("family", ["gpt2", "gptj", "llama", "qwen2"])
@pytest.mark.parametrize("chunk_tokens", [16, 4096])
def test_a_fact_alone_and_among_others_gets_the_same_value(family: str, chunk_tokens: int) -> None:
    model = random_model(family)
    config = dataclasses.replace(CONFIG, chunk_tokens=chunk_tokens, keep="last")
    facts = [FACTS[0], FACTS[1], *(fact(f"Subject {i}", "{} lives in", "Spain 12") for i in range(10))]
    with model.frozen():
        together = optimise_values(model, facts, range(len(facts)), 1, CONTEXTS, config)
        for i in (0, 1, 5):
            alone = optimise_values(model, [facts[i]], [0], 1, CONTEXTS, config)
            error = (together.delta[:, i] - alone.delta[:, 0]).norm() / alone.delta[:, 0].norm()
            assert float(error) < 1e-4


def test_the_clamp_holds_and_converged_groups_stop_moving() -> None:
    model = random_model("gpt2")
    tight = dataclasses.replace(CONFIG, clamp=0.05, steps=10)
    with model.frozen():
        values = optimise_values(model, FACTS[:2], [0, 1], 1, CONTEXTS, tight)
        assert (values.delta.norm(dim=0) <= 0.05 * values.base.norm(dim=0) * (1 + 1e-5)).all()
        easy = dataclasses.replace(CONFIG, stop=float(values.loss.max()) + 100)
        at_once = optimise_values(model, FACTS[:2], [0, 1], 1, CONTEXTS, easy)
    assert at_once.updates.tolist() == [0, 0]
    assert not at_once.delta.any()


def test_the_number_of_updates_is_the_documented_one() -> None:
    model = random_model("gpt2")
    with model.frozen():
        values = optimise_values(model, FACTS[:1], [0], 1, CONTEXTS, dataclasses.replace(CONFIG, steps=4))
    assert values.updates.tolist() == [4]


def test_the_best_iterate_is_kept_unless_the_last_is_asked_for() -> None:
    model = random_model("gpt2")
    wild = dataclasses.replace(CONFIG, lr=30.0, steps=5, clamp=50.0)
    with model.frozen():
        best = optimise_values(model, FACTS[:1], [0], 1, CONTEXTS, wild)
        last = optimise_values(model, FACTS[:1], [0], 1, CONTEXTS, dataclasses.replace(wild, keep="last"))
    assert float(best.loss[0]) < float(last.loss[0])


def test_on_a_cycle_the_ball_grows() -> None:
    model = random_model("gpt2")
    wide = dataclasses.replace(CONFIG, lr=1e6, schedule="cycle", keep="last", steps=1)
    with model.frozen():
        reached = {}
        for steps in (1, 4):
            values = optimise_values(model, FACTS[:1], [0], 1, CONTEXTS, dataclasses.replace(wide, steps=steps))
            reached[steps] = float(values.delta.norm() / values.base.norm())
    assert reached[1] == pytest.approx(0.4 * CONFIG.clamp, rel=1e-4)
    assert reached[4] == pytest.approx(CONFIG.clamp, rel=1e-4)


def test_a_gradient_is_left_out_only_where_nobody_needs_it() -> None:
    """One chunk may skip its last backward pass, many chunks never do; the decay counts towards the stop."""
    model = random_model("gpt2")
    heavy = dataclasses.replace(CONFIG, weight_decay=30.0, keep="last")
    with model.frozen():
        start = optimise_values(model, FACTS[:1], [0], 1, CONTEXTS, dataclasses.replace(heavy, steps=1)).loss
        for stop in (float(start[0]) + shift for shift in (-3.0, -1.0, -0.3, -0.1)):
            one, many = (
                optimise_values(
                    model, FACTS[:1], [0], 1, CONTEXTS, dataclasses.replace(heavy, stop=stop, chunk_tokens=tokens)
                )
                for tokens in (4096, 16)
            )
            assert one.updates.tolist() == many.updates.tolist()
            torch.testing.assert_close(one.delta, many.delta, rtol=1e-3, atol=1e-5)


def test_a_group_may_start_at_the_mean_of_what_its_facts_find_alone() -> None:
    """Two equal facts find the same value alone, so their group is there at once; a lone fact starts at zero."""
    model = random_model("gpt2")
    with model.frozen():
        loss = optimise_values(model, FACTS[:1], [0], 1, CONTEXTS, CONFIG).loss
        config = dataclasses.replace(CONFIG, stop=float(loss[0]) + 1e-4)
        alone = optimise_values(model, FACTS[:2], [0, 1], 1, CONTEXTS, config)
        zero, mean = (
            optimise_values(
                model, [FACTS[0], FACTS[0], FACTS[1]], [0, 0, 1], 1, CONTEXTS, dataclasses.replace(config, start=start)
            )
            for start in ("zero", "mean")
        )
    assert alone.updates[0] > 0
    assert zero.updates.tolist() == alone.updates.tolist()
    assert mean.updates.tolist() == [0, int(alone.updates[1])]
    torch.testing.assert_close(mean.delta, alone.delta, rtol=1e-4, atol=1e-6)


def test_the_divergence_is_from_the_model_without_a_value_wherever_the_search_begins() -> None:
    """Two equal facts start at the value that each finds alone, and there it must cost them what it cost alone."""
    model = random_model("gpt2")
    config = dataclasses.replace(CONFIG, kl=5.0, lr=0.2, clamp=5.0, keep="last", start="mean")
    with model.frozen():
        reached = optimise_values(model, FACTS[:1], [0], 1, CONTEXTS, config).loss
        config = dataclasses.replace(config, stop=float(reached[0]) + 1e-3)
        alone = optimise_values(model, FACTS[:1], [0], 1, CONTEXTS, config)
        group = optimise_values(model, FACTS[:1] * 2, [0, 0], 1, CONTEXTS, config)
    assert alone.updates[0] > 0 and group.updates.tolist() == [0]
    torch.testing.assert_close(group.loss, alone.loss, rtol=1e-4, atol=1e-5)


def test_the_mean_is_that_of_all_facts_of_the_group() -> None:
    model = random_model("gpt2")
    config = dataclasses.replace(CONFIG, start="mean", kl=0.0, weight_decay=0.0, clamp=1e6, steps=3, keep="last")
    with model.frozen():
        one, other = (
            optimise_values(model, facts, [0, 0], 1, CONTEXTS, config).delta for facts in (FACTS[:2], FACTS[1::-1])
        )
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_the_divergence_is_taken_after_the_words_by_default() -> None:
    assert ValueConfig().kl_position == "after"
    model = random_model("gpt2")
    strong = dataclasses.replace(CONFIG, kl=5.0, keep="last")
    with model.frozen():
        after = optimise_values(model, FACTS[:1], [0], 1, CONTEXTS, strong)
        subject = optimise_values(
            model, FACTS[:1], [0], 1, CONTEXTS, dataclasses.replace(strong, kl_position="subject")
        )
    assert not torch.allclose(after.delta, subject.delta)


def test_rows_of_groups_that_left_do_not_run() -> None:
    model = random_model("gpt2")
    with model.frozen():
        work, _ = loss_chunks(
            model, FACTS, [[0], [1], [2], [3]], (Site("block", 1),), CONTEXTS, divergence="after", chunk_tokens=10_000
        )
        (chunk,) = work
        delta = torch.randn(4, 1, model.d, generator=torch.Generator().manual_seed(0))
        part = chunk.keep(torch.tensor([False, True, False, False]))
        assert part is not None
        assert set(part.here.row_group.tolist()) == {1}
        assert len(part.replay.hidden) == len(CONTEXTS) + 1
        whole = chunk.losses(model, delta, 0.5)
        torch.testing.assert_close(part.losses(model, delta, 0.5)[1], whole[1], rtol=1e-4, atol=1e-5)
        assert chunk.keep(torch.ones(4, dtype=torch.bool)) is chunk
        assert chunk.keep(torch.zeros(4, dtype=torch.bool)) is None


def test_groups_that_are_searched_in_turn_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three turns: a group too large for one, one of two groups, and the last group."""
    groups, facts = [0, 0, 1, 2, 3], [FACTS[0], FACTS[2], FACTS[1], FACTS[3], FACTS[0]]
    model = random_model("gpt2")
    with model.frozen():
        once = optimise_values(model, facts, groups, 1, CONTEXTS, CONFIG)
        calls = []
        chunked = loss_chunks
        monkeypatch.setattr(values, "ROWS_AT_ONCE", 2 * (len(CONTEXTS) + 1))
        monkeypatch.setattr(values, "loss_chunks", lambda *a, **k: calls.append(a[2]) or chunked(*a, **k))
        turns = optimise_values(model, facts, groups, 1, CONTEXTS, CONFIG)
    assert calls == [[[0, 1]], [[0], [1]], [[0]]]
    for name in ("delta", "base", "loss"):
        torch.testing.assert_close(getattr(turns, name), getattr(once, name), rtol=1e-3, atol=1e-5)
    assert torch.equal(turns.updates, once.updates)


@pytest.mark.parametrize("family", ["gpt2", "gptj"])
def test_a_fused_activation_finds_the_same_and_leaves_nothing_behind(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, found, kept = random_model(family), [], []
    before = {name: sorted(vars(part)) for name, part in model.module.named_modules()}
    for fused in (False, True):
        monkeypatch.setattr(replay, "fuses", lambda _model, fused=fused: fused)
        sizes: list[int] = []

        def keep(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with model.frozen(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            found.append(optimise_values(model, FACTS, [0, 1, 2, 3], 1, CONTEXTS, CONFIG))
        kept.append(sum(sizes))
    torch.testing.assert_close(found[0].delta, found[1].delta, rtol=1e-3, atol=1e-5)
    assert kept[1] < kept[0]
    assert before == {name: sorted(vars(part)) for name, part in model.module.named_modules()}


def test_a_fused_activation_gives_an_own_forward_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accelerate puts one into modules whose inputs it moves."""
    model = random_model("gpt2")
    part = model.blocks[2].mlp.act
    own = part.forward
    part.forward = own
    monkeypatch.setattr(replay, "fuses", lambda _model: True)
    optimise_values(model, FACTS, [0, 1, 2, 3], 1, CONTEXTS, CONFIG)
    assert vars(part)["forward"] is own


class Asking(TorchDispatchMode):
    """Counts what makes the host wait for a device: masks that become indices, and copies of numbers it must see."""

    def __init__(self) -> None:
        super().__init__()
        self.masks = 0

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = op.overloadpacket.__name__
        places = args[1] if name in ("index", "index_put_", "_index_put_impl_") else ()
        self.masks += name == "nonzero" or any(place is not None and place.dtype is torch.bool for place in places)
        return op(*args, **(kwargs or {}))


def test_a_step_in_which_nobody_leaves_makes_no_indices_of_masks() -> None:
    """They would make the host wait for a GPU."""
    model, asked = random_model("gpt2"), []
    for steps in (2, 8):
        config = dataclasses.replace(CONFIG, steps=steps, stop=0.0)
        with model.frozen(), Asking() as asking:
            optimise_values(model, FACTS, [0, 1, 2, 3], 1, CONTEXTS, config)
        asked.append(asking.masks)
    assert asked[0] == asked[1]
