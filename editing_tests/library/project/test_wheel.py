# SPDX-License-Identifier: Apache-2.0
"""The wheel carries what the gate needs and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from editing_tests.library.gate.counts import PROPERTIES as COUNT
from kedit.paths import fixtures_dir

ROOT = Path(__file__).parents[3]
BUILD = "import sys; from hatchling.builders.wheel import WheelBuilder as B; list(B('.').build(directory=sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-c", BUILD, str(folder)], cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
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


EDITOR = """
import torch
from kedit.editors import Tags
from kedit.facts import check_facts
from kedit.updates import Replaced, Update


class MyEditor:
    name, tags = "mine", Tags(writes_weights=True)

    def edit(self, model, facts, state=None):
        check_facts(facts)
        name = model.weight_name(0)
        return Update({name: Replaced(model.weight(0) + 0.01)}, model.fingerprint([name]), tuple(facts)), state
"""


def test_a_new_user_with_nothing_but_the_wheel(wheel: Path, tmp_path: Path) -> None:
    """The generated workflow's commands as they stand, the generated test, and the option of a plain pytest."""
    home, installed = tmp_path / "lab", tmp_path / "installed"
    (home / "mylab").mkdir(parents=True)
    (home / "mylab" / "editors.py").write_text(EDITOR, encoding="utf-8")
    path = f"{installed / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    hidden = {name: text for name, text in os.environ.items() if not name.startswith(("PYTEST_", "PIP_"))}
    # pip finds the wheel where it would find the index, and installs beside the needs that are there.
    pip = {"NO_INDEX": "1", "FIND_LINKS": str(wheel.parent), "NO_DEPS": "1", "TARGET": str(installed)}
    quiet = {"DISABLE_PIP_VERSION_CHECK": "1", "IGNORE_INSTALLED": "1"}
    environment = hidden | {"PATH": path, "PYTHONPATH": str(installed)}
    environment |= {f"PIP_{name}": text for name, text in (pip | quiet).items()}

    def call(command: str) -> tuple[int, list[str]]:
        ran = subprocess.run(
            command, shell=True, cwd=home, env=environment, text=True, capture_output=True, check=False, timeout=600
        )
        return ran.returncode, (ran.stdout + ran.stderr).splitlines()

    assert call("python -m pip install kedit")[0] == 0
    status, told = call("kedit gate init")
    assert status == 0, told
    workflow = yaml.safe_load((home / ".github" / "workflows" / "editing-gate.yml").read_text(encoding="utf-8"))
    install, judge = (step["run"] for step in workflow["jobs"]["gate"]["steps"] if "run" in step)
    status, told = call(install)
    assert status == 0, told
    assert wheel.name.split("-")[1] in install
    few = " --model tiny-gpt2 -n 0 -k 'test_pure_edit or test_single'"
    option = "pytest --pyargs editing_tests --editor mylab.editors:MyEditor"
    status, told = call(f"{option} --write-expectations editing-expectations.toml{few}")
    rejected = f"mylab.editors:MyEditor: rejected by: efficacy.single (only 2 of {COUNT} properties ran)"
    assert (status, told[-1]) == (1, rejected), told
    assert not any(str(ROOT) in line for line in told)
    status, told = call(judge + few)
    accepted = "mylab.editors:MyEditor: accepted with 1 known failure: efficacy.single"
    assert (status, told[-1].split(" (")[0]) == (0, accepted), told
    assert (home / "editing-report" / "report.md").is_file()
    # The test runs every property, which takes long: here it may know two of them.
    test = home / "tests" / "test_editing_gate.py"
    text = test.read_text(encoding="utf-8").replace(
        "expect=", 'properties=["contract.pure-edit", "efficacy.*"], expect='
    )
    test.write_text(text, encoding="utf-8")
    status, told = call("pytest -q tests")
    assert (status, told[-1].split(" in ")[0]) == (0, "1 passed"), told


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
