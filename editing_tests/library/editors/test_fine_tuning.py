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
