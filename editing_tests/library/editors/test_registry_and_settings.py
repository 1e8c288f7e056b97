# SPDX-License-Identifier: Apache-2.0
"""Names, settings and presets: wrong ones are one-line errors that say the mend."""

from __future__ import annotations

from typing import Any

import pytest

from editing_tests.library.random_models import random_model
from kedit.editors import EditorError, Tags, editor_names, load_editor
from kedit.facts import Fact, Prompt
from kedit.models import LanguageModel
from kedit.paths import fixtures_dir

FACT = Fact(Prompt.from_template("{} lives in", "Ada"), "Spain", "Peru")


class Foreign:
    name, tags = "foreign", Tags()

    def __init__(self, strength: float = 1.0) -> None:
        self.strength = strength

    def edit(self, model: Any, facts: Any, state: Any = None) -> Any:
        raise NotImplementedError


ready_made = Foreign(2.0)
not_an_editor = object()


class WrongTags(Foreign):
    tags = None  # type: ignore[assignment]


def failing_factory() -> Foreign:
    raise RuntimeError("no such file")


HERE = __name__


def test_built_in_names() -> None:
    assert editor_names() == ("rome", "memit", "memit-merge", "d4s", "ft-l", "kn", "grace")
    for name in editor_names():
        assert load_editor(name).name == name


def test_classes_factories_and_instances_of_others() -> None:
    made = load_editor(f"{HERE}:Foreign", {"strength": 3.0})
    assert isinstance(made, Foreign) and made.strength == 3.0
    assert load_editor(f"{HERE}:ready_made") is ready_made


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("memitt", {}, "unknown editor 'memitt', did you mean 'memit'"),
        ("nothing", {}, "built in are rome, memit, memit-merge, d4s, ft-l, kn, grace"),
        ("no.such.module:Editor", {}, "module 'no.such.module' cannot be imported: ModuleNotFoundError"),
        (f"{HERE}:Missing", {}, "has no attribute 'Missing'"),
        (f"{HERE}:", {}, "expected 'package.module:Attribute'"),
        (f"{HERE}:not_an_editor", {}, "lacks name, tags, edit"),
        (f"{HERE}:WrongTags", {}, "tags is a NoneType, expected kedit.editors.Tags"),
        (f"{HERE}:failing_factory", {}, "could not be made: RuntimeError: no such file"),
        (f"{HERE}:ready_made", {"strength": 1.0}, "is an instance and takes no settings"),
        ("memit", {"layer": [1]}, "memit has no setting 'layer', did you mean 'layers'"),
        ("memit", {"ridge": "0.5"}, "memit: ridge is '0.5', expected float"),
        ("memit", {"layers": 3}, "memit: layers is 3, expected a list"),
        ("memit", {"layers": [1, True]}, "expected int"),
        ("memit", {"value": {"stepps": 3}}, "memit: value has no setting 'stepps', did you mean 'steps'"),
        ("memit", {"value": {"schedule": "linear"}}, "expected one of 'constant', 'cycle'"),
        ("rome", {"keys": "bare"}, "expected one of 'averaged', 'mixed'"),
        ("rome", {"covariance": 0}, "rome: covariance is 0, expected bool"),
        ("ft-l", {"contexts": {}}, "ft-l has no setting 'contexts'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(name: str, config: dict[str, Any], message: str) -> None:
    with pytest.raises(EditorError) as caught:
        load_editor(name, config)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", editor_names())
def test_a_model_without_preset_asks_for_the_settings(name: str) -> None:
    with pytest.raises(EditorError, match=rf"{name} has no preset for a model with family gpt2, blocks 4, d 16, f 24"):
        load_editor(name).edit(random_model("gpt2"), [FACT])


def test_what_is_given_wins_inside_tables_too() -> None:
    model = LanguageModel.from_pretrained(fixtures_dir() / "models" / "tiny-gpt2")
    update, _ = load_editor("memit", {"value": {"steps": 1}, "contexts": {"count": 0}}).edit(model, [FACT])
    preset, _ = load_editor("memit", {"contexts": {"count": 0}}).edit(model, [FACT])
    assert update.config["value"]["steps"] == 1
    assert update.config["value"]["lr"] == preset.config["value"]["lr"]
    assert update.config["layers"] == (0, 1)
