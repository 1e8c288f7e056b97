# SPDX-License-Identifier: Apache-2.0
"""Which collected tests run, in which order, and which of them are known to fail."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from kedit.gate.cases import Case, is_quick
from kedit.gate.full_options import FullOptions
from kedit.gate.judging import Judge, Node, PropertyViolation
from kedit.gate.options import GateOptions
from kedit.gate.results import NOT_APPLICABLE

if TYPE_CHECKING:
    from kedit.gate.run import GateRun

__all__ = ["FULL_MODEL", "JUDGE", "NODE", "PROPERTY", "TABLE", "parameters_of", "prepare"]

FULL_MODEL = "full_model"
PROPERTY = "editing_property"
TABLE = "editing_table"
NODE = pytest.StashKey[Node]()
JUDGE = pytest.StashKey[Judge]()


def prepare(items: list[pytest.Item], options: GateOptions, run: Callable[[], GateRun]) -> list[pytest.Item]:
    """Mark property tests and sort the items in place; returns those that the options leave out.

    Args:
        items: everything that was collected.
        options: the command line.
        run: gives the run's data; called only if there are property tests.

    Raises:
        pytest.UsageError: a property test without gate or id, or without a threshold of its own.
    """
    wanted = (PROPERTY, TABLE, FULL_MODEL) if options.tables else (PROPERTY, FULL_MODEL)
    judges = bool(options.editors) or options.full is not None
    left_out = _leave_out(
        items,
        lambda item: (
            (judges and not any(item.get_closest_marker(name) for name in wanted))
            or (options.full is None and item.get_closest_marker(FULL_MODEL) is not None)
            or (options.full is not None and _asks_for_more(item, options.full))
        ),
    )
    for item in items:
        marker = item.get_closest_marker(PROPERTY)
        if marker is not None:
            _mark(item, marker, run())
            if options.timeout:
                item.add_marker(pytest.mark.timeout(options.timeout, func_only=False), append=False)
    left_out += _leave_out(items, lambda item: _is_long(item) and _is_quick(item, options))
    places = {case: place for place, case in enumerate(run().cases)} if any(map(_case, items)) else {}
    models = {case.folder: place for case, place in reversed(places.items())}
    items.sort(key=lambda item: _place(item, places, models))
    return left_out


def _leave_out(items: list[pytest.Item], unwanted: Callable[[pytest.Item], bool]) -> list[pytest.Item]:
    left_out = [item for item in items if unwanted(item)]
    dropped = set(left_out)
    items[:] = [item for item in items if item not in dropped]
    return left_out


def _asks_for_more(item: pytest.Item, full: FullOptions) -> bool:
    """Whether a test has no model, or asks what a model with random weights cannot know."""
    if "gate_case" in getattr(item, "fixturenames", ()) and _case(item) is None:
        return True
    marker = item.get_closest_marker(PROPERTY)
    return marker is not None and full.random_weights and marker.kwargs.get("knowledge", False)


def _is_quick(item: pytest.Item, options: GateOptions) -> bool:
    case = _case(item)
    return options.quick if case is None else is_quick(options, case.editor)


def _is_long(item: pytest.Item) -> bool:
    """Whether a quick run leaves the test out: it is long, and not the one case that stands for the others."""
    marker = item.get_closest_marker(PROPERTY)
    return marker is not None and marker.kwargs.get("long", False) and marker.kwargs.get("quick") != parameters_of(item)


def _place(item: pytest.Item, places: Mapping[Case, int], models: Mapping[str, int]) -> tuple[int, int]:
    """Tests of one editor and model stand together, so that a worker can share measurements between them; the long ones
    first, so that what is left over for an idle worker at the end is short. A full model is looked at before them."""
    case, marker = _case(item), item.get_closest_marker(PROPERTY)
    if case is not None:
        long = marker is not None and marker.kwargs.get("long", False)
        return places[case], 1 if long else 2
    callspec = getattr(item, "callspec", None)
    looked_at = callspec.params.get("full_model") if callspec else None
    return models.get(getattr(looked_at, "source", ""), -1), 0


def parameters_of(item: pytest.Item) -> dict[str, Any]:
    """The parameters of a test besides editor and model."""
    callspec = getattr(item, "callspec", None)
    return {name: value for name, value in callspec.params.items() if name != "gate_case"} if callspec else {}


def _case(item: pytest.Item) -> Case | None:
    callspec = getattr(item, "callspec", None)
    case = callspec.params.get("gate_case") if callspec else None
    return case if isinstance(case, Case) else None  # where no model is at hand pytest has a filler


def _mark(item: pytest.Item, marker: pytest.Mark, run: GateRun) -> None:
    case = _case(item)
    if case is None or len(marker.args) != 1:
        raise pytest.UsageError(f"{item.nodeid}: an {PROPERTY} takes its id, and its test takes the fixture 'gate'")
    property_id = marker.args[0]
    if property_id not in run.thresholds.properties:
        raise pytest.UsageError(f"{item.nodeid}: thresholds.toml has no entry for property {property_id!r}")
    parameters = parameters_of(item)
    about = inspect.getdoc(getattr(item, "obj", None)) or ""
    node = Node(editor=case.editor, model=case.model, property=property_id, parameters=parameters, about=about)
    item.stash[NODE] = node
    tags = run.editors[case.editor].tags
    missing = [tag for tag in marker.kwargs.get("needs", ()) if not getattr(tags, tag)]
    barred = [tag for tag in marker.kwargs.get("excludes", ()) if getattr(tags, tag)]
    if missing or barred:
        why = f"has no tag {', '.join(missing)}" if missing else f"has the tag {', '.join(barred)}"
        item.add_marker(pytest.mark.skip(reason=f"{NOT_APPLICABLE}{case.editor} {why}"))
        return
    expected = run.expected(case, property_id, parameters)
    item.stash[JUDGE] = Judge(node, run.thresholds, expected, real=case.real)
    if expected:
        reason = "; ".join(dict.fromkeys(entry.reason for entry in expected))
        item.add_marker(pytest.mark.xfail(strict=True, raises=PropertyViolation, reason=reason))
