# SPDX-License-Identifier: Apache-2.0
"""`kedit gate init`: the files that run the gate in a repository that has nothing of it yet."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from kedit.files import write_atomically
from kedit.versions import versions

__all__ = ["files", "run"]

_WORKFLOW = """\
# Judges {editor} on every push; `kedit gate --help` tells the options.
name: editing-gate
on: [push, pull_request]
permissions:
  contents: read
jobs:
  gate:
    runs-on: ubuntu-latest
    timeout-minutes: 60
    env:
      OMP_NUM_THREADS: "1"
      PIP_EXTRA_INDEX_URL: https://download.pytorch.org/whl/cpu
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.11"
      - name: Install the gate
        run: python -m pip install "kedit{pin}"
      # An editor that needs more than kedit:
      # - name: Install the editor
      #   run: python -m pip install .
      - name: Judge the editor
        run: kedit gate {editor} --expect editing-expectations.toml --editing-report editing-report
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: editing-report
          path: editing-report
"""
_EXPECTATIONS = """\
# Known failures of {editor}, each with its reason; strict: the day one holds, the run is red until it is removed.
# Made from a failing run by:  kedit gate {editor} --write-expectations editing-expectations.toml
#
# [[expect]]
# property = "perturbation.homogeneous-sequence"
# parameters = {{ edits = 8 }}       # all parameters if left out
# models = ["tiny-llama"]          # all models if left out
# metric = "exact_match_gap"       # any metric if left out
# reason = "later edits of a subject overwrite earlier ones; see our issue 12"
"""
_TEST = '''\
"""Our editor keeps what the editing gate asks of it on one model; the workflow judges it on all of them."""

from pathlib import Path

from kedit.gate import check_editor

KNOWN_FAILURES = Path(__file__).parents[1] / "editing-expectations.toml"


def test_the_editor_passes_the_gate():
    check_editor("{editor}", model="tiny-gpt2", expect=KNOWN_FAILURES)
'''
_NEXT = """\
Next, in that folder:
  kedit gate {editor} --quick
      judges it in about a minute
  kedit gate {editor} --write-expectations editing-expectations.toml
      writes down what fails; give each entry its reason
  pytest tests
      judges it on one model, beside your other tests
"""
_PLACEHOLDER = "mylab.editors:MyEditor"
_NAME_IT = f"First put the name of your editor in the place of {_PLACEHOLDER} in these files.\n"


def files(editor: str) -> Mapping[str, str]:
    """Path under the repository and content of each file."""
    version = versions("kedit")["kedit"]
    pin = "" if version == "checkout" else f"=={version}"
    return {
        ".github/workflows/editing-gate.yml": _WORKFLOW.format(editor=editor, pin=pin),
        "editing-expectations.toml": _EXPECTATIONS.format(editor=editor),
        "tests/test_editing_gate.py": _TEST.format(editor=editor),
    }


def run(options: Namespace) -> int:
    """Write the files that are not there and say what to do next; returns 0, or 2 for wrong usage."""
    folder = Path(options.folder)
    # The name goes into a shell command and into code.
    if not re.fullmatch(r"[a-z0-9-]+|[\w.]+:[\w.]+", options.editor):
        return _fail(f"--editor {options.editor}: give a built-in name or package.module:Attribute")
    if folder.exists() and not folder.is_dir():
        return _fail(f"{folder} is a file; name the folder of a repository")
    told = []
    try:
        for name, text in files(options.editor).items():
            path = folder / name
            if path.exists():
                told.append(f"left alone, it is there: {path}\n")
                continue
            write_atomically(path, lambda part, text=text: part.write_text(text, encoding="utf-8"))  # type: ignore[misc]
            told.append(f"wrote {path}\n")
    except OSError as error:
        return _fail(f"{folder}: cannot be written ({error})")
    named = _NAME_IT if options.editor == _PLACEHOLDER else ""
    sys.stdout.write("".join([*told, named, _NEXT.format(editor=options.editor)]))
    return 0


def _fail(message: str) -> int:
    sys.stderr.write(f"kedit: {message}\n")
    return 2
