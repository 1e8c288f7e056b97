# SPDX-License-Identifier: Apache-2.0
"""The wheel carries what the gate needs and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from kedit.paths import fixtures_dir

ROOT = Path(__file__).parents[3]
BUILD = "import sys; from hatchling.builders.wheel import WheelBuilder as B; list(B('.').build(directory=sys.argv[1]))"


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-c", BUILD, str(folder)], cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def files(folder: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(("checkpoint", "."))
    }


def test_every_file_of_the_package_and_its_fixtures_is_in(names: set[str]) -> None:
    assert files("kedit") <= names
    assert {f"kedit/{name}" for name in files("fixtures")} <= names
    assert "kedit/py.typed" in names


def test_the_properties_are_in_and_the_tests_of_kedit_and_its_mutants_are_not(names: set[str]) -> None:
    own = {
        name for name in files("editing_tests") if name.startswith(("editing_tests/library/", "editing_tests/mutants/"))
    }
    assert files("editing_tests") - own <= names
    assert not own & names


def test_nothing_else_is_in(names: set[str]) -> None:
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"kedit", "editing_tests"}
    assert not [name for name in names if "checkpoint" in name or name.endswith((".pyc", ".part"))]
    assert [name for name in names if name.endswith(".dist-info/entry_points.txt")]


def test_the_fixtures_of_a_checkout_are_those_beside_the_package() -> None:
    assert fixtures_dir() == ROOT / "fixtures"


def test_an_installed_package_finds_the_fixtures_it_carries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "kedit"
    (installed / "fixtures").mkdir(parents=True)
    monkeypatch.setattr("kedit.paths.__file__", str(installed / "paths.py"))
    assert fixtures_dir() == installed / "fixtures"
    (installed / "fixtures").rmdir()
    with pytest.raises(FileNotFoundError, match="install kedit again"):
        fixtures_dir()
