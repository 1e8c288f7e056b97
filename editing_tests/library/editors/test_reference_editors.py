# SPDX-License-Identifier: Apache-2.0
"""What holds for several editors, on random models: formulas, layers, purity, rounding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from editing_tests.library.editors.examples import ADA, BORN, PLAYS, SETTINGS, TEXTS, fact, model_of
from editing_tests.library.random_networks import weights_file
from kedit.editors import editor_names, load_editor
from kedit.facts import FactError
from kedit.locate_then_edit.keys import SubjectReader
from kedit.models.activations import Site
from kedit.statistics import measure

pytestmark = pytest.mark.usefixtures("own_cache")


def test_a_square_weight_is_turned_by_its_class() -> None:
    """Conv1D and Linear with d = f: applying the update adds exactly `residual` at the key."""
    for family in ("gpt2", "gptj"):
        model = model_of(family, keys=16)
        editor = load_editor("memit", SETTINGS["memit"] | {"layers": [1], "ridge": 1e-9})
        before = model.weight(1).clone()
        update, _ = editor.edit(model, [ADA])
        update.apply(model)
        assert update.evidence is not None
        layer = update.evidence.layers[1]
        moved = (model.weight(1) - before).double() @ layer.keys
        torch.testing.assert_close(moved, layer.residuals, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["memit", "memit-merge"])
def test_memit_solves_its_least_squares_on_base_statistics(name: str) -> None:
    model = model_of()
    moments = measure(model, TEXTS, [1, 2])
    before = {layer: model.weight(layer).double().clone() for layer in (1, 2)}
    update, state = load_editor(name, SETTINGS[name]).edit(model, [BORN, ADA, PLAYS])
    update.apply(model)
    assert update.evidence is not None
    for layer, solved in update.evidence.layers.items():
        c = moments[layer].matrix
        c = c + 1e-4 * c.trace() / model.f * torch.eye(model.f, dtype=torch.float64)
        k, r = solved.keys, solved.residuals
        direct = r @ k.T @ torch.linalg.inv(0.05 * model.f * c + k @ k.T)
        torch.testing.assert_close(model.weight(layer).double() - before[layer], direct, rtol=1e-3, atol=1e-5)
    # The second call works on the edited weights with the second moments of the unedited ones.
    again, _ = load_editor(name, SETTINGS[name]).edit(model, [fact("Eve", "{} is", "x")], state)
    again.apply(model)


def test_memit_shares_the_residual_evenly_and_recomputes_it() -> None:
    model = model_of()
    update, _ = load_editor("memit", SETTINGS["memit"] | {"ridge": 1e-9}).edit(model, [ADA])
    assert update.evidence is not None
    contexts = ("",)
    start = SubjectReader(model, [ADA], contexts, "flat").read(model, bare=[Site("block", 2)])[Site("block", 2)]
    gap = update.evidence.values - start
    torch.testing.assert_close(update.evidence.layers[1].residuals, gap / 2, rtol=1e-4, atol=1e-5)
    with model.swapped({model.weight_name(1): update.changes[model.weight_name(1)].new_weight(model.weight(1))}):
        now = SubjectReader(model, [ADA], contexts, "flat").read(model, bare=[Site("block", 2)])[Site("block", 2)]
    torch.testing.assert_close(update.evidence.layers[2].residuals, update.evidence.values - now, rtol=1e-4, atol=1e-5)


def test_merge_is_memit_when_all_keys_differ_and_not_when_they_are_equal() -> None:
    apart, together = [BORN, ADA], [BORN, ADA, PLAYS]
    zero = torch.zeros(16, 24)
    for facts, same in ((apart, True), (together, False)):
        plain, merged = (
            load_editor(name, SETTINGS["memit"]).edit(model_of(), facts)[0] for name in ("memit", "memit-merge")
        )
        equal = [
            torch.equal(plain.changes[n].new_weight(zero), merged.changes[n].new_weight(zero)) for n in plain.changes
        ]
        assert all(equal) is same
    assert merged.evidence is not None and merged.evidence.groups == (0, 1, 0)
    assert torch.equal(merged.evidence.values[:, 0], merged.evidence.values[:, 2])


@pytest.mark.parametrize("name", editor_names())
@pytest.mark.parametrize("family", ["gpt2", "gptj", "llama", "qwen2"])
def test_every_editor_leaves_the_model_when_computing_and_when_refusing(name: str, family: str, tmp_path: Path) -> None:
    model = model_of(family)
    settings = SETTINGS | {"mend": {"weights": str(weights_file(model, tmp_path))}}
    editor, before = load_editor(name, settings[name]), model.fingerprint()
    editor.edit(model, [BORN])
    assert model.fingerprint() == before
    with pytest.raises(FactError, match="field 'target' is empty; give the new object"):
        editor.edit(model, [fact("Mira Solano", "{} was born in", "")])
    assert model.fingerprint() == before


@pytest.mark.parametrize("name", ["memit", "d4s", "ft-l"])
def test_bfloat16_weights_are_rounded_once(name: str) -> None:
    model = model_of("llama", dtype=torch.bfloat16)
    update, _ = load_editor(name, SETTINGS[name]).edit(model, [ADA])
    exact = {n: c.new_weight(model.weight(int(n.split(".")[2]))) for n, c in update.changes.items()}
    snapshot = update.apply(model)
    for n, weight in exact.items():
        assert torch.equal(model.module.get_parameter(n).detach(), weight.to(torch.bfloat16))
    snapshot.restore(model)
    assert model.fingerprint() == model.origin
