# SPDX-License-Identifier: Apache-2.0
"""The house has floors; imports go down them, never up."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

# From the ground up; rooms of one floor may know each other.
FLOORS = (
    ("paths", "files", "versions", "facts", "fact_files", "record_files"),
    ("models",),
    ("statistics", "updates"),
    ("locate_then_edit", "hypernetworks"),
    ("editors",),
    ("sessions",),
    ("metrics",),
    ("datasets", "worlds"),
    ("downstream", "experiments", "probing"),
    ("reports",),
    ("gate", "commands", "cli", "__main__"),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def imported(source: Path) -> Iterator[str]:
    """Every module or name that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def room_of(source: Path) -> str:
    return source.relative_to(ROOT / "kedit").with_suffix("").parts[0]


@pytest.mark.parametrize("source", sources("kedit"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_go_down(source: Path) -> None:
    room = room_of(source)
    if room == "__init__":
        return
    assert room in FLOOR_OF, f"{room} has no floor; give it one here and in docs/architecture.md"
    for name in imported(source):
        package, *path = name.split(".")
        assert package != "editing_tests", f"{source.name} imports the tests"
        if package == "kedit" and path:
            assert FLOOR_OF[path[0]] <= FLOOR_OF[room], f"{room} imports {name}, which is above it"


@pytest.mark.parametrize("package", ["kedit", "editing_tests"])
def test_no_private_name_of_another_module(package: str) -> None:
    for source in sources(package):
        for name in imported(source):
            if name.startswith("kedit."):
                private = [part for part in name.split(".") if part.startswith("_") and not part.startswith("__")]
                assert not private, f"{source.relative_to(ROOT)} imports {name}"


def test_what_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {_bare(text) for text in project["dependencies"]}
    optional = {_bare(text) for group in project["optional-dependencies"].values() for text in group}
    distributions = packages_distributions()
    shipped = [source for source in sources("editing_tests") if "library" not in source.parts]
    used = {name.split(".")[0] for source in sources("kedit") + shipped for name in imported(source)}
    used -= {"kedit", "editing_tests", *sys.stdlib_module_names}
    # What an extra brings need not be installed; then its module goes by the name of the distribution.
    needed = {_bare(distributions.get(module, [module])[0]) for module in used}
    assert needed <= declared | optional, f"not declared: {sorted(needed - declared - optional)}"
    # Plugins that pytest loads, and what transformers needs to read a folder, are not imported by name.
    assert declared - needed <= {"pytest-timeout", "pytest-xdist", "syrupy", "numpy", "tokenizers", "safetensors"}


def test_the_page_on_the_house_names_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {room_of(source) for source in sources("kedit")} - {"__init__", "__main__"}
    assert not [room for room in sorted(rooms) if f"`{room}" not in page]


def _bare(requirement: str) -> str:
    return requirement.split(">")[0].strip().lower().replace("_", "-")
