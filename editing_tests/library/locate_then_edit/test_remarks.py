# SPDX-License-Identifier: Apache-2.0
"""What the notes of an update say about keys, contexts and statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from editing_tests.library.editors.examples import ADA, BORN, COMMON, PLAYS, SETTINGS, TEXTS, fact, model_of
from editing_tests.library.profiles import drawn
from kedit.editors import editor_names, load_editor
from kedit.locate_then_edit.keys import SubjectReader
from kedit.locate_then_edit.remarks import COLLIDING, remarks
from kedit.models import LanguageModel
from kedit.models.activations import Site
from kedit.statistics import measure

KEYED = [name for name in editor_names() if load_editor(name).tags.keyed]
BATCH = [name for name in KEYED if load_editor(name).tags.batch]


@pytest.fixture
def model(own_cache: None) -> LanguageModel:
    return model_of("llama")


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDIT_CACHE", str(tmp_path_factory.getbasetemp() / "moments"))


@pytest.mark.parametrize("name", BATCH)
def test_facts_of_one_key_with_two_values_are_noted(name: str, model: LanguageModel) -> None:
    """Pitfall 36: MEMIT and its kin say so; where the facts share a value there is nothing to say."""
    editor = load_editor(name, SETTINGS[name])
    assert "key collisions" not in editor.edit(model, [BORN, ADA])[0].notes
    same = replace(PLAYS, target=BORN.target)
    assert "key collisions" not in editor.edit(model, [BORN, same])[0].notes
    notes = editor.edit(model, [BORN, ADA, PLAYS])[0].notes
    if editor.tags.grouped:
        assert "key collisions" not in notes
        return
    assert notes["key collisions"] == {"pairs": 1, "largest cosine": pytest.approx(1.0, abs=1e-6)}


@drawn()
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=6),
    st.integers(0, 2**31),
)
@example([(0, 0, 0), (0, 1, 1), (0, 1, 1), (1, 1, 2)], 0)
def test_collisions_are_counted_pair_by_pair(rows: list[tuple[int, int, int]], seed: int) -> None:
    """Rows of key, target and group; against a loop. The fourth key is far from all, the others are near each other."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(8, generator=generator, dtype=torch.float64)
    distinct = [base, base + 0.01 * torch.randn(8, generator=generator, dtype=torch.float64), -base]
    keys = torch.stack([distinct[key] for key, _, _ in rows], dim=1)
    facts = [replace(ADA, target=f"t{target}") for _, target, _ in rows]
    groups = [group for _, _, group in rows]
    expected = [
        cosine
        for i in range(len(rows))
        for j in range(i)
        if facts[i].target != facts[j].target and groups[i] != groups[j]
        if (cosine := float(torch.cosine_similarity(keys[:, i], keys[:, j], dim=0))) > COLLIDING
    ]
    found = remarks(facts, groups, keys, keys, {}).get("key collisions")
    assert found == (
        {"pairs": len(expected), "largest cosine": pytest.approx(max(expected), abs=1e-6)} if expected else None
    )


def cosines(model: LanguageModel, contexts: Sequence[str], average: str) -> Tensor:
    """By two separate passes: the averaged key and the bare prompt's, of BORN."""
    reader, site = SubjectReader(model, [BORN], contexts, average), Site("key", 1)  # type: ignore[arg-type]
    mean, bare = reader.read(model, averaged=[site])[site], reader.read(model, bare=[site])[site]
    return torch.cosine_similarity(mean, bare, dim=0)


@pytest.mark.parametrize("name", KEYED)
def test_how_far_contexts_move_a_key_is_noted(name: str, model: LanguageModel) -> None:
    """Pitfall 61: the cosine between the key of the bare prompt and the averaged one."""
    update, state = load_editor(name, SETTINGS[name]).edit(model, [BORN])
    session = getattr(state, "session", state)
    expected = float(cosines(model, session.contexts, "flat" if name in ("rome", "r-rome") else "groups"))
    assert expected < 1 - 1e-4
    assert update.notes["context cosine"] == {
        "least": pytest.approx(expected, abs=1e-6),
        "mean": pytest.approx(expected, abs=1e-6),
    }
    bare, _ = load_editor(name, SETTINGS[name] | {"contexts": COMMON["contexts"] | {"count": 0}}).edit(model, [BORN])
    assert bare.notes["context cosine"]["least"] == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("name", KEYED)
def test_the_statistics_of_an_edit_are_noted(name: str, model: LanguageModel) -> None:
    """Pitfall 70: texts, tokenizer and number of tokens."""
    update, _ = load_editor(name, SETTINGS[name]).edit(model, [BORN])
    moment = measure(model, TEXTS, [1])[1]
    assert update.notes["second moments"] == {"corpus": moment.corpus, "tokens": moment.tokens}


def test_an_edit_without_covariance_notes_no_statistics(model: LanguageModel) -> None:
    update, _ = load_editor("rome", SETTINGS["rome"] | {"covariance": False}).edit(model, [BORN])
    assert "second moments" not in update.notes and "context cosine" in update.notes


def test_reading_notes_takes_no_pass_of_its_own(model: LanguageModel) -> None:
    """One pass a layer for keys and outputs, as without notes."""
    reader, sites = SubjectReader(model, [BORN, ADA], ("", "Rain fell. "), "groups"), [Site("key", 1), Site("block", 2)]
    passes = 0

    def count(_module: object, _args: object) -> None:
        nonlocal passes
        passes += 1

    handle = model.blocks[0].register_forward_pre_hook(count)
    mean, bare = reader.read_both(model, averaged=sites[:1], bare=sites)
    once, passes = passes, 0
    reader.read(model, averaged=sites[:1], bare=sites[1:])
    handle.remove()
    assert once == passes
    assert not torch.equal(mean[sites[0]], bare[sites[0]])


def test_the_largest_cosine_is_that_of_a_colliding_pair() -> None:
    """Two facts of one target are nearer to each other than the pair that collides."""
    keys = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.1]], dtype=torch.float64)
    facts = [fact("Ada", "{} is", "a"), fact("Eve", "{} is", "a"), fact("Bo", "{} is", "b")]
    (found,) = (remarks(facts, (0, 1, 2), keys, keys, {})["key collisions"],)
    assert found == {"pairs": 2, "largest cosine": pytest.approx(1 / 1.01**0.5)}
