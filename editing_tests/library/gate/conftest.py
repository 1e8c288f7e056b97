# SPDX-License-Identifier: Apache-2.0
"""Runs of pytest inside pytest, as a user would start them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

# Imported here, once, because a run inside pytest forgets the modules that it was the first to import.
import kedit.cli
import kedit.gate.bench
import kedit.gate.measurements
import kedit.gate.snapshots
from kedit.editors import editor_names, load_editor
from kedit.models.language_model import LanguageModel
from kedit.paths import model_folder

for name in editor_names():
    load_editor(name)

Run = Callable[..., pytest.RunResult]


@pytest.fixture(scope="session")
def loaded() -> None:
    """Load a model once out here, for what is imported only then; some of it cannot be imported twice."""
    LanguageModel.from_pretrained(model_folder("tiny-gpt2"))


@pytest.fixture
def run(loaded: None, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Start pytest in an empty folder; the arguments follow those that load the plugin."""
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
        monkeypatch.delenv(name, raising=False)  # the inner run is nobody's worker
    monkeypatch.setenv("PYTHONPATH", str(Path(kedit.cli.__file__).parents[1]))  # a checkout need not be installed

    def start(*args: str | Path, apart: bool = False) -> pytest.RunResult:
        call = ["-p", "kedit.gate.plugin", "-p", "no:cacheprovider", *map(str, args)]
        return pytester.runpytest_subprocess(*call) if apart else pytester.runpytest_inprocess(*call)

    return start


@pytest.fixture
def toml(pytester: pytest.Pytester) -> Callable[[str], Path]:
    """Write a TOML file into the folder of the run."""

    def write(text: str) -> Path:
        path = pytester.path / "given.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
