# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning of one matrix with large steps and nothing that holds it near the weights it started from."""

from typing import Any

from kedit.editors.fine_tuning import FtL


class NoBall(FtL):
    """The bad side of `locality.neighbors`, `locality.perplexity`, and `NS` in `longevity.returning-subjects`:
    facts take, and everything else moves with them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"epsilon": 1e9, "lr": 0.03, "steps": 25} | settings)
