# SPDX-License-Identifier: Apache-2.0
"""What a run on full models is asked with, and what it refuses."""

from __future__ import annotations

import gc
import os
from types import SimpleNamespace

import pytest
import torch

from kedit.gate.devices import own_device
from kedit.gate.full_options import asks_for_full_models


@pytest.mark.parametrize(
    ("expression", "asks"),
    [
        ("", False),
        ("gpu", True),
        ("gpu_large", True),
        ("gpu and not gpu_large", True),
        ("not gpu", False),
        ("not gpu and not gpu_large", False),
        ("slow or gpu", True),
        ("gpus", False),
        ("not (gpu or slow)", False),
        ("(slow and gpu)", True),
        ("gpu and", False),
        ("not slow", False),
    ],
)
def test_which_expressions_ask_for_full_models(expression, asks):
    assert asks_for_full_models(expression) is asks


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--device", "cpu"], ["--device needs -m gpu"]),
        (["--dtype", "float16"], ["--dtype needs -m gpu"]),
        (["--random-weights", "-m", "not gpu"], ["--random-weights needs -m gpu"]),
        (["--require-gpu"], ["--require-gpu needs -m gpu"]),
        (["-m", "gpu", "--facts", "none.json"], ["--facts none.json: there is no such file"]),
        (["-m", "gpu", "--corpus", "none.txt"], ["--corpus none.txt: there is no such file"]),
        (["-m", "gpu", "--corpus", "empty", "--random-weights"], ["--corpus has no use beside --random-weights"]),
        (["-m", "gpu", "--model", "no-such"], ["--model no-such", "gpt2-xl", "config.json", "ORG/NAME"]),
        (["-m", "gpu", "--model", "tiny-gpt2", "--model", "copy/tiny-gpt2"], ["two models have the name tiny-gpt2"]),
        (["-m", "gpu", "--model", "strange", "--device", "cpu"], ["--model strange", "config.json"]),
        (["-m", "gpu", "--device", "gpu"], ["--device gpu: no device has this name"]),
        (["-m", "gpu", "--device", "auto", "--random-weights"], ["--random-weights are made on one device"]),
        (["-m", "gpu", "--device", "cuda:1", "-n", "2"], ["-n 2 with --device cuda:1: the workers would share it"]),
    ],
    ids=lambda value: "-".join(value).replace("--", "")[:40] if isinstance(value, list) else None,
)
def test_wrong_usage_is_one_line(run, pytester, args, words):
    (pytester.path / "empty").touch()
    for folder, text in (("copy/tiny-gpt2", '{"model_type": "gpt2"}'), ("strange", '{"model_type": "strange"}')):
        (pytester.path / folder).mkdir(parents=True)
        (pytester.path / folder / "config.json").write_text(text)
    result = run(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert all(word in line for word in words), line


def test_more_workers_than_devices(run, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    result = run("-m", "gpu", "-n", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert any("-n 2 with 1 CUDA devices" in line and "give -n 1" in line for line in result.errlines)


def test_every_worker_has_a_device_of_its_own_and_a_dead_ones_is_free_again(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    workers = [
        SimpleNamespace(workerinput={"testrunuid": f"test-{os.getpid()}"}, stash=pytest.Stash()) for _ in range(3)
    ]
    assert [own_device(worker, "cuda") for worker in workers] == ["cuda:0", "cuda:1", "cuda"]
    workers[0].stash = pytest.Stash()  # as when its process ends
    gc.collect()
    assert own_device(workers[2], "cuda") == "cuda:0"
    assert own_device(SimpleNamespace(), "cuda") == "cuda"
    assert own_device(workers[2], "cpu") == "cpu"
