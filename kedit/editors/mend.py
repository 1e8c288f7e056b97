# SPDX-License-Identifier: Apache-2.0
"""MEND, Model Editor Networks with Gradient Decomposition (Mitchell et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from kedit.editors.base import EditorError, Tags
from kedit.editors.settings import Configured, recorded
from kedit.facts import Fact
from kedit.hypernetworks.factors import read_factors
from kedit.hypernetworks.storage import find, load
from kedit.hypernetworks.transform import HyperNetwork, HypernetworkError
from kedit.models.language_model import LanguageModel
from kedit.paths import fixtures_dir
from kedit.updates import LowRank, Update

__all__ = ["Mend", "MendSettings", "edit_matrices"]

TRAINING = "python -m kedit.worlds train-mend --model FOLDER --out FILE.safetensors"


@dataclass(frozen=True, kw_only=True)
class MendSettings:
    """Settings of MEND.

    Attributes:
        weights: file of the trained network; empty takes the one among kedit's fixtures that was trained for a model
            with the same fingerprint (`LanguageModel.origin`).
    """

    weights: str = ""


class Mend(Configured[MendSettings]):
    """A trained network turns the gradient of each fact into a low-rank edit; settings as in `MendSettings`.

    `W - rate * sum_t g~_t x~_t^T` over the tokens of all facts (eq. 2), for the MLP weights the network was trained
    for. Every fact brings the gradient of its own loss, so a batch is the sum of its facts' edits.

    Where text and published code part: the paper subtracts, the published code adds and lets the rate's sign be learnt.
    The published wrappers for ROME and MEMIT also bind rates to weights by order and let every edit change the running
    statistics; here rates are held by name and statistics are those of the training.
    """

    name = "mend"
    tags = Tags(batch=True, sequential=True, writes_weights=True, needs_training=True)
    settings = MendSettings

    def edit(self, model: LanguageModel, facts: Sequence[Fact], state: None = None) -> tuple[Update, None]:
        """Edit a batch; nothing is carried over between calls.

        Raises:
            EditorError: no trained weights for the model, or a file that does not fit it.
        """
        setting = self.begin(model, facts)
        try:
            network = load(_weights_file(setting, model), model)
        except HypernetworkError as error:
            raise EditorError(f"mend: {error} ({TRAINING})") from error
        return recorded(self.name, model, facts, edit_matrices(network, model, facts), setting), None


def edit_matrices(network: HyperNetwork, model: LanguageModel, facts: Sequence[Fact]) -> dict[str, LowRank]:
    """The edit that a trained network makes of some facts: parameter name -> `left` `(d, n)`, `right` `(f, n)`."""
    with model.frozen():
        factors = read_factors(model, facts, network.matrices)
    changes: dict[str, LowRank] = {}
    with torch.no_grad():
        for name, found in factors.items():
            left, right = network(name, found)
            changes[name] = LowRank(left.T, right.T)
    return changes


def _weights_file(setting: MendSettings, model: LanguageModel) -> Path:
    if setting.weights:
        return Path(setting.weights)
    folder = fixtures_dir() / "mend"
    path = find(folder, model.origin)
    if path is None:
        raise EditorError(
            f"mend has no trained weights for {model.name} (fingerprint {model.origin[:12]}): none in {folder} were "
            f"trained for it; train them with {TRAINING} and name the file in the setting 'weights'"
        )
    return path
