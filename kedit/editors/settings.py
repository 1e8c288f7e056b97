# SPDX-License-Identifier: Apache-2.0
"""Settings of editors: frozen dataclasses, built from presets and from what the caller gives.

A preset is chosen by what the model is (family, blocks, sizes), never by its name, and says where its numbers come
from. What the caller gives wins, key by key, inside tables too.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import typing
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from kedit.editors.base import EditorError, Tags
from kedit.facts import Fact, check_facts
from kedit.locate_then_edit.contexts import ContextConfig
from kedit.locate_then_edit.values import ValueConfig
from kedit.models.language_model import LanguageModel
from kedit.models.memories import Memory
from kedit.updates import Change, Evidence, Update, base_of

__all__ = [
    "MATCH",
    "SOURCE",
    "Configured",
    "LayeredSettings",
    "build",
    "check",
    "preset_of",
    "presets",
    "recorded",
    "resolve",
]

T = TypeVar("T")
MATCH = ("family", "blocks", "d", "f")
SOURCE = "source"


def check(cls: type[Any], given: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """`given` with every value in the type of its field; fields may be missing.

    Raises:
        EditorError: unknown key, wrong type, a negative number, or a choice outside its list.
    """
    fields = _fields(typing.cast(Hashable, cls))
    for name in given:
        if name not in fields:
            close = difflib.get_close_matches(name, fields, n=1)
            hint = f", did you mean {close[0]!r}?" if close else f"; it has {', '.join(sorted(fields))}"
            raise EditorError(f"{where} has no setting {name!r}{hint}")
    return {name: _value(fields[name], value, f"{where}: {name}") for name, value in given.items()}


@cache
def _fields(cls: Any) -> Mapping[str, Any]:
    """The type of each field."""
    hints = typing.get_type_hints(cls)
    return MappingProxyType({field.name: hints[field.name] for field in dataclasses.fields(cls)})


def build(cls: type[T], given: Mapping[str, Any], *, where: str) -> T:
    """An instance of a settings dataclass from plain data; raises EditorError as `check` does."""
    return cls(**check(cls, given, where=where))


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else build(hint, _mapping(value, where), where=where)
    if origin is typing.Literal:
        if value not in arguments:
            raise EditorError(f"{where} is {value!r}, expected one of {', '.join(map(repr, arguments))}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise EditorError(f"{where} is {value!r}, expected a list")
        return tuple(_value(arguments[0], item, where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise EditorError(f"{where} is {value!r}, expected {hint.__name__}")
    if hint in (int, float) and not value >= 0:  # also what is not a number
        raise EditorError(f"{where} is {value!r}, expected at least 0")
    return value


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise EditorError(f"{where} is {value!r}, expected a table")
    return value


def resolve(cls: type[T], model: LanguageModel, given: Mapping[str, Any], *, name: str) -> T:
    """The settings of editor `name` on this kind of model: its preset, overridden by what the caller gives.

    Raises:
        EditorError: a setting without default stands neither in the preset nor in `given`.
    """
    merged = _overridden(preset_of(name, model), given)
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    missing = [f.name for f in fields if f.name not in merged and f.default is f.default_factory is dataclasses.MISSING]
    if missing:
        kind = ", ".join(f"{key} {value}" for key, value in _signature(model).items())
        raise EditorError(
            f"{name} has no preset for a model with {kind}; give {', '.join(missing)} in its settings "
            "(--editor-config FILE.toml)"
        )
    return build(cls, merged, where=name)


def preset_of(name: str, model: LanguageModel) -> Mapping[str, Any]:
    """The settings in the preset of editor `name` for this kind of model; none if there is no such preset."""
    signature = _signature(model)
    rows = (row for row in presets(name) if all(row[key] == signature[key] for key in MATCH if key in row))
    return {key: value for key, value in next(rows, {}).items() if key not in (*MATCH, SOURCE)}


def _signature(model: LanguageModel) -> dict[str, str | int]:
    """What presets are told by, as in `MATCH`."""
    return {"family": model.architecture.family, "blocks": model.n_blocks, "d": model.d, "f": model.f}


def _overridden(preset: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(preset)
    for key, value in given.items():
        below = merged.get(key)
        tables = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = _overridden(dict(below or {}), value) if tables else value
    return merged


@dataclass(frozen=True, kw_only=True)
class LayeredSettings:
    """Settings of every editor that spreads a value over layers.

    Attributes:
        layers: edited blocks.
        value: the value optimisation.
        contexts: the sampled prefixes.
    """

    layers: tuple[int, ...]
    value: ValueConfig = field(default_factory=ValueConfig)
    contexts: ContextConfig = field(default_factory=ContextConfig)


class Configured(Generic[T]):
    """What editors with settings share: they are given as keyword arguments and completed by the preset of the model.

    Attributes:
        name: the editor's name, and its preset's.
        tags: what the editor is.
        settings: the dataclass of its settings.
    """

    name: str
    tags: Tags
    settings: type[T]

    def __init__(self, **settings: Any) -> None:
        """Raises EditorError for a setting that `settings` does not have or of another type."""
        check(self.settings, settings, where=self.name)
        self._given = settings

    def begin(self, model: LanguageModel, facts: Sequence[Fact]) -> T:
        """Check the batch and complete the settings for this kind of model.

        Raises:
            FactError: a fact cannot be edited as asked.
            EditorError: a setting is missing, or several facts for an editor without the tag `batch`.
        """
        check_facts(facts)
        if not self.tags.batch and len(facts) > 1:
            raise EditorError(
                f"{self.name} edits one fact a call and got {len(facts)}; call it once for each, in sequence"
            )
        return resolve(self.settings, model, self._given, name=self.name)


@cache
def presets(name: str) -> tuple[Mapping[str, Any], ...]:
    """The rows of an editor's file of presets: what kind of model, the settings, and their source."""
    file = resources.files("kedit.editors") / "presets" / f"{name}.toml"
    if not file.is_file():
        return ()
    return tuple(tomllib.loads(file.read_text(encoding="utf-8")).get("preset", []))


def recorded(
    name: str,
    model: LanguageModel,
    facts: Sequence[Fact],
    changes: Mapping[str, Change],
    setting: Any,
    evidence: Evidence | None = None,
    *,
    memory: Memory | None = None,
    notes: Mapping[str, Any] = MappingProxyType({}),
) -> Update:
    """The update of one call, with the base it was made for, the settings it was made with, and the notes of method and
    evidence."""
    return Update(
        changes=changes,
        base=base_of(model, changes, memory),
        facts=tuple(facts),
        editor=name,
        config=dataclasses.asdict(setting),
        seed=setting.contexts.seed if hasattr(setting, "contexts") else getattr(setting, "seed", 0),
        evidence=evidence,
        memory=memory,
        notes={**(evidence.notes if evidence is not None else {}), **notes},
    )
