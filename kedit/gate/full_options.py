# SPDX-License-Identifier: Apache-2.0
"""Options of a run on full models, which `-m gpu` asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from kedit.gate.devices import check_device, check_workers, own_device
from kedit.gate.expressions import asks_for

__all__ = ["GPU", "GPU_LARGE", "FullOptions", "add_full_options", "asks_for_full_models"]

GPU = "gpu"
GPU_LARGE = "gpu_large"
DTYPES = ("bfloat16", "float16", "float32")
_NEEDS = "needs -m gpu; it is for runs on full models"


@dataclass(frozen=True, slots=True)
class FullOptions:
    """How full models are loaded and what they are asked.

    Attributes:
        device: where models are; "cuda", the worker's own one, "auto" for all of a machine's, or any name torch knows.
        dtype: of the weights; None for bfloat16 in large models on an accelerator and float32 elsewhere.
        facts: file of facts to edit; None for the built-in ones.
        corpus: file of texts for second moments, one a line; None for those that `kedit statistics collect` left.
        random_weights: seeded random weights instead of stored ones.
        require: a model that is not at hand is an error, not a skip.
    """

    device: str = "cuda"
    dtype: Literal["bfloat16", "float16", "float32"] | None = None
    facts: Path | None = None
    corpus: Path | None = None
    random_weights: bool = False
    require: bool = False

    @classmethod
    def from_pytest(cls, config: pytest.Config) -> FullOptions | None:
        """Read the options; None for a run that does not ask for full models.

        Raises:
            pytest.UsageError: an option of full models without `-m gpu`, files that are not there, options that
                contradict each other, or more workers than devices.
        """
        facts, corpus = config.getoption("gate_facts"), config.getoption("gate_corpus")
        random_weights = config.getoption("gate_random_weights")
        given = {
            "--device": config.getoption("gate_device"),
            "--dtype": config.getoption("gate_dtype"),
            "--facts": facts,
            "--corpus": corpus,
            "--random-weights": random_weights,
            "--require-gpu": config.getoption("gate_require"),
        }
        if not asks_for_full_models(config.getoption("markexpr", default="") or ""):
            for option, value in given.items():
                if value:
                    raise pytest.UsageError(f"{option} {_NEEDS}")
            return None
        for option, value in (("--facts", facts), ("--corpus", corpus)):
            if value and not Path(value).is_file():
                raise pytest.UsageError(f"{option} {value}: there is no such file")
            if value and random_weights:
                raise pytest.UsageError(f"{option} has no use beside --random-weights, which know nothing; drop one")
        device = given["--device"] or "cuda"
        check_device(device)
        check_workers(config, device)
        if device == "auto" and random_weights:
            raise pytest.UsageError("--random-weights are made on one device; give --device cuda, cuda:1 or cpu")
        return cls(
            device=own_device(config, device),
            dtype=given["--dtype"],
            facts=Path(facts) if facts else None,
            corpus=Path(corpus) if corpus else None,
            random_weights=random_weights,
            require=given["--require-gpu"],
        )


def asks_for_full_models(expression: str) -> bool:
    """Whether an expression of `-m` chooses tests of full models."""
    return asks_for(expression, ((GPU,), (GPU, GPU_LARGE)))


def add_full_options(group: pytest.OptionGroup) -> None:
    """Register the options of full models."""
    group.addoption(
        "--device",
        dest="gate_device",
        metavar="NAME",
        help="with -m gpu: where the models are: cuda (default), cuda:1, auto to spread one over all devices, cpu",
    )
    group.addoption(
        "--dtype",
        dest="gate_dtype",
        choices=DTYPES,
        help="with -m gpu: type of the weights (default: bfloat16 for large models on an accelerator, else float32)",
    )
    group.addoption(
        "--facts",
        dest="gate_facts",
        metavar="FILE",
        help="with -m gpu: facts to edit, in any format that kedit dataset reads (default: the built-in ones); those "
        "that the model does not know are left out",
    )
    group.addoption(
        "--corpus",
        dest="gate_corpus",
        metavar="FILE",
        help="with -m gpu: texts for second moments, one a line (default: what kedit statistics collect has stored)",
    )
    group.addoption(
        "--random-weights",
        dest="gate_random_weights",
        action="store_true",
        help="with -m gpu: full architectures with random weights, judged on what needs no knowledge",
    )
    group.addoption(
        "--require-gpu",
        dest="gate_require",
        action="store_true",
        help="with -m gpu: a model that is not at hand is a failure, not a skip",
    )
