# SPDX-License-Identifier: Apache-2.0
"""FT, FT-L, FT-M: the ball and the loss."""

from __future__ import annotations

import pytest
import torch

from editing_tests.library.editors.examples import ADA, BORN, PLAYS, SETTINGS, fact, model_of
from kedit.editors import load_editor

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.mark.parametrize("anchor", ["session", "call"])
def test_ft_l_stays_in_its_ball(anchor: str) -> None:
    model, state = model_of(), None
    start = model.weight(1).clone()
    editor = load_editor("ft-l", SETTINGS["ft-l"] | {"anchor": anchor})
    farthest = 0.0
    for one in (BORN, ADA, PLAYS):
        found = model.weight(1).clone()
        update, state = editor.edit(model, [one], state)
        update.apply(model)
        step = float((model.weight(1) - found).abs().max())
        farthest = max(farthest, float((model.weight(1) - start).abs().max()))
        assert step > 0
        assert anchor == "session" or step <= 1e-3 * (1 + 1e-3)
    # One rounding of the edge itself is all that float32 adds.
    assert farthest <= 1e-3 * (1 + 1e-3) if anchor == "session" else farthest > 1.5e-3


@pytest.mark.parametrize("name", ["ft", "ft-l", "ft-m"])
@pytest.mark.parametrize("n", [1, 2])
def test_the_loss_of_fine_tuning_is_the_models_own_labelled_loss(name: str, n: int) -> None:
    """Every target token counts where it stands, and padding counts nowhere: one fact of a long target, or it and a
    shorter one together, against the model's own loss on each sentence alone; for FT times the target's tokens."""
    model = model_of("llama")
    facts = [fact("Ada", "{} was born in the year", "2012"), fact("Mira Solano", "{} is", "x")][:n]
    weight = model.module.get_parameter(model.weight_name(1)).requires_grad_(True)
    for one in facts:
        ids = model.tokenizer(f"{one.prompt.text} {one.target}")["input_ids"]
        start = len(model.tokenizer(one.prompt.text)["input_ids"])
        labels = torch.tensor([[-100] * start + ids[start:]])
        tokens = len(ids) - start if name == "ft" else 1
        (model.module(input_ids=torch.tensor([ids]), labels=labels).loss * tokens / n).backward()
    gradient = weight.grad
    assert gradient is not None
    weight.requires_grad_(False)
    before = model.weight(1).clone()
    editor = load_editor(name, {"layer": 1, "lr": 1e-3, "steps": 1} | ({"epsilon": 1.0} if name == "ft-l" else {}))
    editor.edit(model, facts)[0].apply(model)
    clear = gradient.abs() > 1e-3
    assert clear.any()
    # Adam's first step is the sign of the gradient times the rate.
    torch.testing.assert_close((model.weight(1) - before)[clear], -1e-3 * gradient[clear].sign(), rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_ft_l_is_inside_its_ball_after_every_step(family: str, steps: int) -> None:
    """No entry passes the edges of the ball by a single bit, and a large rate reaches both of them."""
    model = model_of(family)
    centre, epsilon = model.weight(1).clone(), 1e-3
    update, _ = load_editor("ft-l", SETTINGS["ft-l"] | {"steps": steps, "lr": 1.0, "stop": 0.0}).edit(model, [BORN])
    update.apply(model)
    weight = model.weight(1)
    assert (weight >= centre - epsilon).all() and (weight <= centre + epsilon).all()
    assert (weight == centre - epsilon).any() and (weight == centre + epsilon).any()


@pytest.mark.parametrize("name", ["ft", "ft-l", "ft-m"])
def test_the_number_of_updates_is_the_documented_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pitfall 42: `steps` updates, none once the loss is below `stop`, and the last weights are those returned."""
    taken = 0
    step = torch.optim.Adam.step

    def counted(self: torch.optim.Adam) -> None:
        nonlocal taken
        taken += 1
        step(self)

    monkeypatch.setattr(torch.optim.Adam, "step", counted)
    model = model_of()
    for settings, expected in (({"stop": 0.0}, 5), ({"stop": 1e9}, 0)):
        taken = 0
        update, _ = load_editor(name, SETTINGS[name] | settings).edit(model, [BORN])
        assert taken == expected
        (change,) = update.changes.values()
        assert torch.equal(change.new_weight(model.weight(1)), model.weight(1)) is (expected == 0)


def test_prompt_last_asks_for_every_token_where_the_first_one_stands() -> None:
    """Pitfall 18: the published loss is an option, and is not the likelihood of a target of several tokens."""
    model = model_of("llama")
    one = fact("Ada", "{} was born in the year", "2012")
    weight = model.module.get_parameter(model.weight_name(1)).requires_grad_(True)
    ids = model.tokenizer(f"{one.prompt.text} {one.target}")["input_ids"]
    start = len(model.tokenizer(one.prompt.text)["input_ids"])
    spoken = model.module(input_ids=torch.tensor([ids[:start]])).logits[0, -1].log_softmax(-1)
    (gradient,) = torch.autograd.grad(-spoken[ids[start:]].mean(), [weight])
    weight.requires_grad_(False)
    settings = {"layer": 1, "lr": 1e-3, "steps": 1}
    changes = {
        objective: load_editor("ft", settings | {"objective": objective}).edit(model, [one])[0]
        for objective in ("prompt-last", "likelihood")
    }
    moved = {
        objective: update.changes[model.weight_name(1)].new_weight(model.weight(1)) - model.weight(1)
        for objective, update in changes.items()
    }
    clear = gradient.abs() > 1e-3
    assert clear.any()
    # Adam's first step is the sign of the gradient times the rate.
    torch.testing.assert_close(moved["prompt-last"][clear], -1e-3 * gradient[clear].sign(), rtol=1e-2, atol=1e-5)
    assert (moved["likelihood"][clear].sign() != moved["prompt-last"][clear].sign()).any()


def test_ten_edits_in_a_row_stay_in_the_ball_of_the_session() -> None:
    """Pitfall 20: around the weights of before the first call, and not around those that each call finds."""
    model, state = model_of(), None
    start = model.weight(1).clone()
    editor = load_editor("ft-l", SETTINGS["ft-l"])
    for i in range(10):
        update, state = editor.edit(model, [fact(f"Ada {i}", "{} lives in", "Spain")], state)
        update.apply(model)
        assert (model.weight(1) >= start - 1e-3).all() and (model.weight(1) <= start + 1e-3).all()
