# SPDX-License-Identifier: Apache-2.0
"""Edits of a model whose blocks are on two devices give the bits of a model on one."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from editing_tests.library.models.fake_devices import (
    HOST,
    ONE,
    OTHER,
    DifferentDevicesError,
    cuda_here,
    fake_devices,
    place,
    put,
    spread,
    without_moves,
)
from editing_tests.library.random_models import random_model
from editing_tests.library.random_networks import random_network
from kedit.editors import load_editor
from kedit.editors.mend import edit_matrices
from kedit.facts import Fact, Prompt
from kedit.hypernetworks import HyperNetwork
from kedit.hypernetworks.objective import Example, losses
from kedit.locate_then_edit import history
from kedit.locate_then_edit.history import FactoredSum, History
from kedit.models import LanguageModel, score_targets
from kedit.probing import TraceConfig, check_hooks, trace
from kedit.updates import lost_to_rounding

VALUE = {"steps": 3, "lr": 0.5, "kl": 0.0625}
CONTEXTS = {"count": 1, "length": 3}
LAYERED = {"layers": [1, 2], "value": VALUE, "contexts": CONTEXTS}
EDITORS = {
    "rome": {"layer": 2, "value": VALUE, "contexts": CONTEXTS},
    "memit-merge": {**LAYERED, "ridge": 0.5},
    "d4s": {**LAYERED, "ridge": 0.5},
    "alphaedit": {**LAYERED, "threshold": 0.5, "l2": 0.1},
    "ft-l": {"layer": 2, "steps": 3, "epsilon": 1e-2},
    "kn": {"old_weight": 1.0, "new_weight": 1.0, "tolerance": 1.0, "contexts": CONTEXTS},
    "grace": {"layer": 2, "steps": 3},
}
FACTS = [
    Fact(Prompt.from_template(template, subject), target, "Rome", id=f"{subject} {target}")
    for template, subject, target in (
        ("{} lives in", "Ada Byron", "Madrid"),
        ("{} was born in the year", "Ada Byron", "Paris"),
        ("{} is from", "Bo Lund", "Oslo"),
    )
]
TEXTS = tuple(f"Text {i} of Ada Byron, who was {i} in Madrid." for i in range(20))


def fresh(family: str) -> LanguageModel:
    model = random_model(family)
    return LanguageModel(model.module, model.tokenizer, corpus=TEXTS)


def everything(model: LanguageModel, name: str) -> tuple[list[str], list[Tensor], dict[str, float]]:
    """Edit, apply, score, edit again, undo: fingerprints, scores and what rounding took."""
    editor = load_editor(name, EDITORS[name])
    facts = FACTS if editor.tags.batch else FACTS[:1]
    pairs = [(fact.prompt.text, fact.target) for fact in FACTS]
    scores = score_targets(model, pairs)
    update, state = editor.edit(model, facts)
    lost = lost_to_rounding(model, update)
    told = [model.fingerprint()]
    snapshot = update.apply(model)
    told.append(model.fingerprint())
    scores += score_targets(model, pairs)
    again, _ = editor.edit(model, [FACTS[2]], state)
    undo = again.apply(model)
    told.append(model.fingerprint())
    undo.restore(model)
    snapshot.restore(model)
    told.append(model.copy().fingerprint())
    return told, [score.log_probs for score in scores], lost


@pytest.mark.parametrize(
    ("family", "name"),
    [*((family, "memit-merge") for family in ("gpt2", "gptj")), *(("llama", name) for name in EDITORS)],
)
def test_edits_are_those_of_one_device(family: str, name: str) -> None:
    told, scores, lost = everything(fresh(family), name)
    assert len(set(told)) == 3 and told[0] == told[3]
    with fake_devices():
        model = fresh(family)
        spread(model, 2)
        assert {model.weight(1).device, model.weight(2).device} == {ONE, OTHER}
        found = everything(model.copy(), name)
        assert {model.weight(1).device, model.weight(2).device} == {ONE, OTHER}
    assert found[0] == told
    assert all(torch.equal(one, other) for one, other in zip(found[1], scores, strict=True))
    assert found[2] == lost


@pytest.mark.parametrize("name", ["d4s", "alphaedit"])
def test_no_call_brings_a_matrix_to_another_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that folds nor the others; the first call of a session brings the factors or spaces."""
    monkeypatch.setattr(history, "PENDING", 2)
    editor, state = load_editor(name, EDITORS[name]), None
    with fake_devices() as moves:
        model = fresh("llama")
        spread(model, 2)
        for i in range(4):
            moves.clear()
            _, state = editor.edit(model, FACTS[:1], state)
            ranks = {one.basis.shape[1] for one in getattr(state, "spaces", {}).values()}
            matrices = {(rows, columns) for rows in {model.d, model.f} | ranks for columns in {model.f} | ranks}
            assert matrices.isdisjoint(moves) == (i > 0)


def test_a_history_that_was_elsewhere_is_brought_once() -> None:
    with fake_devices() as moves:
        key, residual, f = put(torch.ones(9, 1).double(), ONE), put(torch.ones(2, 1).double(), ONE), 9
        past = History.start(FactoredSum.start(put(torch.eye(f).double(), OTHER), 1.0), 2)
        for call in range(2):
            moves.clear()
            delta, past = past.plus(key, residual)
            assert place(delta) == place(past.total.factor) == place(past.residuals) == ONE
            assert ((f, f) in moves) == (not call)


def network_numbers(model: LanguageModel, network: HyperNetwork) -> list[Tensor]:
    """What a hypernetwork makes of facts: weights after its edit, and both losses of its training."""
    changes = edit_matrices(network, model, FACTS)
    found = [change.new_weight(model.parameter(name).detach()) for name, change in changes.items()]
    with model.frozen(), torch.no_grad():
        both = losses(network, model, [Example(FACTS[0], ("Ada Byron is in",), ("Bo Lund sings",))], observe=False)
    return [*found, both.edit, both.locality]


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_hypernetworks_read_factors_from_both(family: str) -> None:
    plain = fresh(family)
    network = random_network(plain)
    expected = network_numbers(plain, network)
    with fake_devices():
        model = fresh(family)
        spread(model, 2)
        found = network_numbers(model, network.to(model.device))
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_the_model_itself_needs_its_hooks() -> None:
    with fake_devices():
        model = fresh("llama")
        spread(model, 2)
        without_moves(model.module)
        with pytest.raises(DifferentDevicesError):
            score_targets(model, [("Ada lives in", "Madrid")])


MIXED: dict[str, Callable[[Tensor, Tensor], object]] = {
    "sum": lambda one, other: one + other,
    "product": lambda one, other: one @ other,
    "list": lambda one, other: torch.cat([one, other]),
    "index": lambda one, other: one[other.argmax(1)],
    "place": lambda one, other: one.index_add(0, other.argmax(1), one),
    "gradient": lambda one, other: (one.requires_grad_() * one).backward(other),
    "number": lambda one, other: one + other.sum(),
    "host": lambda one, _other: one + torch.zeros(3, 3, device="cpu"),
    "total": lambda one, _other: torch.zeros(()).add_(one.sum()),
    "stacked": lambda one, _other: torch.stack([one.sum(), torch.zeros(())]),
    "drawn": lambda one, _other: torch.multinomial(one, 1, generator=torch.Generator()),
    "filled": lambda one, _other: one.index_fill_(0, torch.tensor([0]), 1.0),
    "copied": lambda one, _other: copy.deepcopy(one) + torch.zeros(3, 3),
}


@pytest.mark.parametrize("mix", MIXED.values(), ids=MIXED)
def test_the_fake_refuses_what_a_real_device_refuses(mix: Callable[[Tensor, Tensor], object]) -> None:
    with fake_devices():
        one, other = put(torch.eye(3), ONE), put(torch.eye(3), OTHER)
        with pytest.raises(DifferentDevicesError):
            mix(one, other)


def test_the_fake_allows_what_a_real_device_allows() -> None:
    with fake_devices():
        one, other = put(torch.eye(3), ONE), put(torch.eye(3), OTHER)
        assert place(one + torch.tensor(2.0)) == place(one[torch.tensor([1, 0])]) == ONE
        assert (one.to(other) + other).device == one.to(OTHER).T.device == torch.zeros_like(other).device == OTHER
        assert place(one.cpu()) == place(torch.ones(2)) == HOST
        assert torch.ones(2, device=one.device).device == one.new_ones(2).device == ONE
        one.copy_(other)
        assert one.device == ONE
        moved = one.clone().requires_grad_(True)
        ((moved * 2).to(OTHER) * other).sum().backward()
        assert moved.grad is not None and moved.grad.device == ONE
        assert place(torch.where(one > 0, one, torch.tensor(0.0))) == place(one.masked_fill(one > 0, 1.0)) == ONE
        assert place(copy.deepcopy(one)) == place(copy.deepcopy(torch.nn.Parameter(one))) == ONE


def test_a_fake_cuda_device_is_one_to_the_code_that_asks() -> None:
    assert not torch.cuda.is_available()
    with cuda_here(), fake_devices():
        assert torch.cuda.is_available() and torch.cuda.device_count() == 1
        there = torch.ones(2, 3, device="cuda")
        assert there.device == torch.device("cuda", 0) == there.to("cuda").device == torch.zeros(3).cuda().device
        assert there.is_cuda and not there.is_cpu and there.cpu().is_cpu
        assert torch.as_tensor(there.cpu(), device="cuda").is_cuda
        halves = there.bfloat16()
        assert torch.mm(halves, halves.T, out_dtype=torch.float32).dtype == torch.float32
        for look in (there.numpy, lambda: np.asarray(there)):
            with pytest.raises(TypeError, match="copy it to the host first"):
                look()
        with pytest.raises(DifferentDevicesError, match="expected a generator"):
            torch.rand(2, device="cuda", generator=torch.Generator())
        query = there.view(1, 1, 2, 3).requires_grad_()
        with sdpa_kernel(SDPBackend.MATH):
            scaled_dot_product_attention(query, query, query, is_causal=True).sum().backward()
        assert query.grad is not None and query.grad.is_cuda
    assert not torch.cuda.is_available() and not torch.ones(1).is_cuda


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_probe_finds_what_it_finds_on_one_device(family: str) -> None:
    def probed(model: LanguageModel) -> tuple[list[str], Tensor]:
        found = trace(model, FACTS[:1], [1, 2], TraceConfig(samples=1))
        return [one.line for one in check_hooks(model, [1, 2])], found.effects

    lines, effects = probed(fresh(family))
    assert all(line.startswith("ok") for line in lines)
    with fake_devices():
        model = fresh(family)
        spread(model, 2)
        found = probed(model)
    assert found[0] == lines
    torch.testing.assert_close(found[1], effects, rtol=0.01, atol=1e-14, equal_nan=True)
