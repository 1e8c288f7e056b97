# SPDX-License-Identifier: Apache-2.0
"""FT-L (Zhu et al. 2020): fine-tuning of one layer inside an L-infinity ball (S2RKE appendix C.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from kedit.editors.base import Tags
from kedit.editors.settings import check, recorded, resolve
from kedit.facts import Fact, check_facts
from kedit.models.activations import run
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import Row, Text, collate, encode
from kedit.updates import Replaced, Update

__all__ = ["FtL", "FtLSettings"]


@dataclass(frozen=True, kw_only=True)
class FtLSettings:
    """Settings of FT-L.

    Attributes:
        layer: the edited block.
        epsilon: radius of the ball, in units of a weight.
        lr: Adam's step size.
        steps: updates at most.
        stop: ends when the mean loss of the batch is below this, in nats a token.
        objective: `likelihood` (paper) or `prompt-last` (published code).
        anchor: `session`, the weights of before the first call (paper), or `call` (published code).
    """

    layer: int
    epsilon: float
    lr: float = 5e-4
    steps: int = 25
    stop: float = 1e-2
    objective: Literal["likelihood", "prompt-last"] = "likelihood"
    anchor: Literal["session", "call"] = "session"


class FtL:
    """Fine-tuning with `max |W - W_anchor| <= epsilon` after every step; settings as in `FtLSettings`.

    Where text and published code part: the paper maximises the likelihood of the target, the published code predicts
    every target token at the last token of the prompt (`objective`); the paper's ball stands around the original model,
    the published code moves it to where each call finds the weights (`anchor`).
    """

    name = "ft-l"
    tags = Tags(batch=True, sequential=True, writes_weights=True)

    def __init__(self, **settings: Any) -> None:
        """Raises EditorError for a setting that `FtLSettings` does not have or of another type."""
        check(FtLSettings, settings, where=self.name)
        self._given = settings

    def edit(self, model: LanguageModel, facts: Sequence[Fact], state: Tensor | None = None) -> tuple[Update, Tensor]:
        """Fine-tune on the whole batch; the state is the anchor `(d, f)`."""
        check_facts(facts)
        setting = resolve(FtLSettings, model, self._given, name=self.name)
        (layer,) = model.check_layers([setting.layer])
        found = model.weight(layer).float().clone()
        first = found if state is None else state
        anchor = first if setting.anchor == "session" else found
        with model.frozen():
            weight = _fine_tune(model, facts, layer, anchor, setting)
        changes = {model.weight_name(layer): Replaced(weight)}
        update = recorded(self.name, model, facts, changes, setting)
        return update, first


def _fine_tune(model: LanguageModel, facts: Sequence[Fact], layer: int, anchor: Tensor, setting: FtLSettings) -> Tensor:
    rows = encode(model.tokenizer, [Text(fact.prompt, fact.target) for fact in facts])
    batch = collate([row.cut(len(row.ids) - 1) for row in rows], device=model.device)
    lines, columns, labels, weights = _labels(rows, setting.objective, model.device)
    name, stored = model.weight_name(layer), model.weight(layer).dtype
    weight = model.weight(layer).float().clone().requires_grad_(True)
    adam = torch.optim.Adam([weight], lr=setting.lr)
    for _ in range(setting.steps):
        with torch.enable_grad():
            turned = weight.T if model.is_transposed(name) else weight
            hidden = run(model, batch, weights={name: turned.to(stored)}, use_cache=False).last_hidden_state
            log_probs = torch.log_softmax(model.head(hidden[lines, columns]).float(), -1)
            loss = -(log_probs.gather(1, labels[:, None])[:, 0] * weights).sum()
        if loss.item() < setting.stop:
            break
        (weight.grad,) = torch.autograd.grad(loss, [weight])
        adam.step()
        with torch.no_grad():
            weight.copy_(_into_ball(weight, anchor, setting.epsilon))
    return weight.detach()


def _into_ball(weight: Tensor, anchor: Tensor, epsilon: float) -> Tensor:
    return torch.minimum(torch.maximum(weight, anchor - epsilon), anchor + epsilon)


def _labels(rows: Sequence[Row], objective: str, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Lines, columns, labels and weights of the predictions; the mean over facts of the mean over target tokens."""
    reads = [
        (
            i,
            row.target_start - 1 + (t if objective == "likelihood" else 0),
            label,
            1 / (len(rows) * len(row.target_ids)),
        )
        for i, row in enumerate(rows)
        for t, label in enumerate(row.target_ids)
    ]
    lines, columns, labels = (torch.tensor([read[k] for read in reads], device=device) for k in range(3))
    return lines, columns, labels, torch.tensor([read[3] for read in reads], dtype=torch.float32, device=device)
