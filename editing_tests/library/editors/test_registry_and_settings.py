# SPDX-License-Identifier: Apache-2.0
"""Names, settings and presets: wrong ones are one-line errors that say the mend."""

from __future__ import annotations

from typing import Any

import pytest

from editing_tests.library.random_models import random_model
from kedit.editors import EditorError, Tags, editor_names, load_editor
from kedit.editors.settings import MATCH, SOURCE, presets
from kedit.facts import Fact, Prompt
from kedit.models import ARCHITECTURES, LanguageModel
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
    names = "rome r-rome memit memit-merge pmet d4s alphaedit emmet ft ft-l ft-m mend kn grace"
    assert editor_names() == tuple(names.split())
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
        ("nothing", {}, "built in are rome, r-rome, memit, memit-merge,"),
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
        ("rome", {"keys": "mean"}, "expected one of 'averaged', 'mixed', 'bare'"),
        ("rome", {"covariance": 0}, "rome: covariance is 0, expected bool"),
        ("ft-l", {"contexts": {}}, "ft-l has no setting 'contexts'"),
        ("ft-l", {"epsilon": "5e-4"}, "ft-l: epsilon is '5e-4', expected float"),
        ("ft-l", {"epsilon": [5e-4]}, "ft-l: epsilon is [0.0005], expected float"),
        ("ft-l", {"epsilon": -1}, "ft-l: epsilon is -1.0, expected at least 0"),
        ("ft-l", {"epsilon": float("nan")}, "ft-l: epsilon is nan, expected at least 0"),
        ("memit", {"value": {"steps": -1}}, "memit: value: steps is -1, expected at least 0"),
        ("memit", {"layers": [-1]}, "memit: layers is -1, expected at least 0"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(name: str, config: dict[str, Any], message: str) -> None:
    with pytest.raises(EditorError) as caught:
        load_editor(name, config)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


# What mend lacks on such a model is weights, see test_mend; it has no other setting.
WITH_PRESETS = [name for name in editor_names() if name != "mend"]


@pytest.mark.parametrize("name", WITH_PRESETS)
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


@pytest.mark.parametrize("name", WITH_PRESETS)
def test_presets_name_their_source_and_fit_a_family_of_the_table(name: str) -> None:
    rows = presets(name)
    assert rows
    for row in rows:
        assert row[SOURCE].strip()
        given = {key: value for key, value in row.items() if key not in (*MATCH, SOURCE)}
        load_editor(name, given)  # types and choices
        assert row.get("family", "gpt2") in ARCHITECTURES
        layers = given.get("layers", [given["layer"]] if "layer" in given else [])
        assert sorted(set(layers)) == layers and all(0 <= layer < row["blocks"] for layer in layers)


FULL_MODELS = {  # (family, blocks, d, f), from their configurations
    "gpt2-xl": ("gpt2", 48, 1600, 6400),
    "gpt-j-6b": ("gptj", 28, 4096, 16384),
    "llama-2-7b": ("llama", 32, 4096, 11008),
    "llama-3-8b(-instruct)": ("llama", 32, 4096, 14336),
    "qwen2.5-1.5b-instruct": ("qwen2", 28, 1536, 8960),
    "qwen2.5-7b-instruct": ("qwen2", 28, 3584, 18944),
}


@pytest.mark.parametrize("name", WITH_PRESETS)
@pytest.mark.parametrize("kind", FULL_MODELS.values(), ids=FULL_MODELS)
def test_every_full_model_has_its_preset(name: str, kind: tuple[str, int, int, int]) -> None:
    matching = [row for row in presets(name) if tuple(row.get(key) for key in MATCH) == kind]
    assert len(matching) == 1
