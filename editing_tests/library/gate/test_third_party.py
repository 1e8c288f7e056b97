# SPDX-License-Identifier: Apache-2.0
"""Editors from another folder: the broken ones are rejected by the properties that say why."""

from __future__ import annotations

import pytest

from kedit.gate.run import suite_folder

BAD_EDITORS = '''
import random

import torch

from kedit.editors import Tags, load_editor
from kedit.facts import check_facts
from kedit.updates import Replaced, Update


class Noise:
    """Cheap and useless, but well-behaved: seeded noise on one weight."""

    name, tags = "noise", Tags(batch=True, sequential=True, writes_weights=True)

    def edit(self, model, facts, state=None):
        check_facts(facts)
        model.module(torch.tensor([[0, 1]]))
        return self.update(model, facts, torch.Generator().manual_seed(0)), [*(state or []), 1]

    def update(self, model, facts, generator):
        weight = model.weight(0)
        noisy = weight + 0.01 * torch.randn(weight.shape, generator=generator)
        name = model.weight_name(0)
        return Update(changes={name: Replaced(noisy)}, base=model.fingerprint([name]), facts=tuple(facts))


class LeavesHook(Noise):
    def edit(self, model, facts, state=None):
        model.module.register_forward_hook(lambda *_: None)
        return super().edit(model, facts, state)


class LeavesFlags(Noise):
    def edit(self, model, facts, state=None):
        model.module.requires_grad_(False)
        return super().edit(model, facts, state)


class LeavesTraining(Noise):
    def edit(self, model, facts, state=None):
        model.module.train()
        return super().edit(model, facts, state)


class LeavesPadding(Noise):
    def edit(self, model, facts, state=None):
        model.tokenizer.padding_side = "left" if model.tokenizer.padding_side == "right" else "right"
        return super().edit(model, facts, state)


class LeavesWeights(Noise):
    def edit(self, model, facts, state=None):
        with torch.no_grad():
            next(model.module.parameters()).view(-1)[0].add_(1e-3)
        return super().edit(model, facts, state)


class DrawsGlobally(Noise):
    def edit(self, model, facts, state=None):
        random.random()
        return super().edit(model, facts, state)


class ChangesState(Noise):
    def edit(self, model, facts, state=None):
        if state is not None:
            state.append(2)
        return super().edit(model, facts, state)


class Unseeded(Noise):
    def update(self, model, facts, generator):
        return super().update(model, facts, None)


class RestoresTooLittle(Noise):
    def edit(self, model, facts, state=None):
        module, weight = model.module, model.weight(0)
        kept = weight.clone()
        weight.add_(1.0)
        module(torch.tensor([[0, 1]]))
        weight.copy_(kept)
        return super().edit(model, facts, state)


class SubtractsToUndo(Noise):
    """The weight comes back by arithmetic, not from a snapshot."""

    def update(self, model, facts, generator):
        made = super().update(model, facts, generator)
        return Subtracting(changes=made.changes, base=made.base, facts=made.facts)


class Subtracting(Update):
    def apply(self, model):
        snapshot = super().apply(model)
        name, kept = next(iter(snapshot.weights.items()))
        delta = dict(model.module.named_parameters())[name].detach() - kept
        return Undo(name, delta)


class Undo:
    def __init__(self, name, delta):
        self.name, self.delta = name, delta

    def restore(self, model):
        with torch.no_grad():
            dict(model.module.named_parameters())[self.name].sub_(self.delta)


class SwallowsFailures(Noise):
    def edit(self, model, facts, state=None):
        try:
            return super().edit(model, facts, state)
        except RuntimeError:
            return self.update(model, facts, torch.Generator().manual_seed(0)), state


class AcceptsAnything(Noise):
    def edit(self, model, facts, state=None):
        return self.update(model, facts, torch.Generator().manual_seed(0)), state


class DependsOnTheBatch(Noise):
    def edit(self, model, facts, state=None):
        if len(facts) == 1:
            update, _ = load_editor("ft-l").edit(model, facts)
            return update, state
        return super().edit(model, facts, state)
'''


@pytest.fixture
def gate_run(run, pytester):
    pytester.makepyfile(elsewhere=BAD_EDITORS)

    def start(editor: str, *args: str, module: str = "elsewhere") -> list[str]:
        result = run(suite_folder(), "--editor", f"{module}:{editor}", "--model", "tiny-gpt2", *args)
        assert result.ret == 1
        assert result.outlines[-1].startswith(f"{module}:{editor}: rejected by: ")
        return result.outlines

    return start


@pytest.fixture
def reference(pytester):
    """Copies a file of the references to where the user's own editor would stand."""

    def copy(name: str) -> None:
        text = (suite_folder() / "references" / f"{name}.py").read_text(encoding="utf-8")
        pytester.makepyfile(**{name: text})

    return copy


def test_an_editor_that_does_nothing_is_rejected(gate_run, reference):
    reference("changes_nothing")
    lines = gate_run("ChangesNothing", "-k", "single or undo or distinct_batch", module="changes_nothing")
    assert "rejected by: contract.exact-undo, efficacy.distinct-batch, efficacy.single" in lines[-1]
    assert any("contract.exact-undo: unchanged is 1" in line for line in lines)
    assert any("efficacy.single: exact_match is 0" in line for line in lines)


def test_memit_with_keys_one_token_early_is_rejected(gate_run, reference):
    reference("early_key")
    lines = gate_run("EarlyKey", "-k", "distinct_batch", module="early_key")
    assert "rejected by: efficacy.distinct-batch" in lines[-1]
    assert any("efficacy.distinct-batch: exact_match is" in line for line in lines)


@pytest.mark.parametrize(
    ("editor", "test", "property_id", "words"),
    [
        ("LeavesHook", "test_pure_edit", "contract.pure-edit", "hooks"),
        ("LeavesFlags", "test_pure_edit", "contract.pure-edit", "requires_grad"),
        ("LeavesTraining", "test_pure_edit", "contract.pure-edit", "training mode"),
        ("LeavesPadding", "test_pure_edit", "contract.pure-edit", "tokenizer"),
        ("LeavesWeights", "test_pure_edit", "contract.pure-edit", "weights"),
        ("DrawsGlobally", "test_pure_edit", "contract.pure-edit", "random state of Python"),
        ("ChangesState", "test_pure_edit", "contract.pure-edit", "state"),
        ("Unseeded", "test_deterministic", "contract.deterministic", "differing_weights is"),
        ("SubtractsToUndo", "test_exact_undo", "contract.exact-undo", "not_restored is 1"),
        ("RestoresTooLittle", "test_interrupted_edit", "contract.atomic-failure", "weights"),
        ("SwallowsFailures", "test_interrupted_edit", "contract.atomic-failure", "swallowed_failures is 1"),
        ("AcceptsAnything", "test_bad_fact", "contract.rejects-bad-facts", "accepted is 1"),
        ("DependsOnTheBatch", "test_batch_independence", "contract.batch-independence", "different_outcomes is"),
    ],
    ids=lambda value: value if isinstance(value, str) and value[0].isupper() else None,
)
def test_a_broken_contract_is_told(gate_run, editor, test, property_id, words):
    lines = gate_run(editor, "-k", test)
    assert f"rejected by: {property_id}" in lines[-1]
    assert any(property_id in line and words in line for line in lines)


def test_a_well_behaved_editor_keeps_the_contract(run, pytester):
    pytester.makepyfile(elsewhere=BAD_EDITORS)
    result = run(suite_folder() / "contract", "--editor", "elsewhere:Noise", "--model", "tiny-gpt2")
    assert result.ret == 0
    assert "elsewhere:Noise: accepted" in result.outlines[-1]
