# SPDX-License-Identifier: Apache-2.0
"""What the README promises is what runs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]


def readme_commands() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [block.strip() for block in re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def test_the_first_two_commands_are_one_line_each_with_all_set_up() -> None:
    for command in readme_commands()[:2]:
        assert "\n" not in command
        assert command.startswith("python3.11 -m venv .venv && .venv/bin/pip install ")
        assert "-c constraints.txt" in command
    gate, tests = readme_commands()[:2]
    assert gate.endswith("&& .venv/bin/kedit gate memit-merge")
    assert "--group tests" in tests
    # Old pip does not know dependency groups; it is renewed before the first of them.
    assert tests.index("install -q -U pip") < tests.index("--group")


def test_ci_runs_the_second_command_as_printed() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert readme_commands()[1] in lines
    assert "set -euo pipefail" in lines


def test_constraints_are_pins_of_what_is_declared() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", pin) for pin in pins)
    pinned = {pin.split("==")[0] for pin in pins}
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = data["project"]["dependencies"] + [
        text for group in data["dependency-groups"].values() for text in group if isinstance(text, str)
    ]
    assert {re.split("[>=]", text)[0] for text in asked} <= pinned


def test_every_linked_file_exists() -> None:
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links {target}"


def test_every_source_names_its_licence() -> None:
    for package in ("kedit", "editing_tests", "benchmarks"):
        for source in sorted((ROOT / package).rglob("*.py")):
            first = source.read_text(encoding="utf-8").splitlines()[:1]
            assert first == ["# SPDX-License-Identifier: Apache-2.0"], source.relative_to(ROOT)
