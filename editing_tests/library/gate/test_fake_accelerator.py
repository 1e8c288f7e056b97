# SPDX-License-Identifier: Apache-2.0
"""The gate as `pytest -m gpu` runs it, with every tensor of the model on a fake CUDA device."""

from __future__ import annotations

import json

import pytest

from editing_tests.library.models.fake_devices import cuda_here, fake_devices
from kedit.gate.run import suite_folder
from kedit.models.full_models import configuration
from kedit.models.random_weights import reduced

# The first of two blocks: at a subject's last token the last one is read by nobody.
LAYERED = """
layers = [0]
ridge = 0.6
value = { steps = 3, lr = 0.5, clamp = 4.0 }
contexts = { count = 1, length = 3 }
"""
SETTINGS = {
    "memit-merge": LAYERED,
    "d4s": LAYERED,
    "ft-l": "layer = 0\nsteps = 3\nlr = 0.01\nepsilon = 0.01\n",
    "grace": "layer = 0\nsteps = 3\n",
}


# Not the two that make most edits, of which none is special on an accelerator.
SHORT = "(contract or mechanism) and not any_batch and not good_manners"
FEW = "mechanism or deterministic or exact_undo"


@pytest.mark.parametrize(
    ("editors", "chosen", "fewest"),
    [(("memit-merge",), SHORT, 17), (("d4s", "ft-l", "grace"), FEW, 2)],
    ids=["all", "few"],
)
def test_properties_hold_on_an_accelerator(run, pytester, toml, editors, chosen, fewest):
    folder = pytester.mkdir("small-llama")
    reduced(configuration("llama-3-8b-instruct")).to_json_file(folder / "config.json", use_diff=False)
    settings = toml("".join(f"[{editor}]\n{SETTINGS[editor]}" for editor in editors))
    args = ["-m", "gpu", "--random-weights", "--require-gpu", "--model", folder, "--editor-config", settings]
    args += [argument for editor in editors for argument in ("--editor", editor)]
    with cuda_here(), fake_devices():
        result = run(suite_folder(), *args, "-k", f"full_model or {chosen}", "--editing-report", "report")
    assert result.ret == pytest.ExitCode.OK, result.outlines[-2:]
    reports = pytester.path / "report"
    for editor in editors:
        file = reports / (editor if len(editors) > 1 else "") / "report.json"
        report = json.loads(file.read_text())
        passed = {row["property"] for row in report["results"] if row["status"] == "passed"}
        assert len(passed) >= fewest
        assert report["models"]["small-llama"]["device"] == "cuda:0"
