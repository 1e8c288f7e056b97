# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning of one layer: FT, FT-L and FT-M.

FT and FT-L are the baselines of Zhu et al. 2020 as ROME (Meng et al. 2022a) and S2RKE (appendix C.1) describe them:
Adam on one matrix until the new object is likely, without bound or inside an L-infinity ball. FT-M (Zhang et al. 2024)
takes the mean loss of the target tokens with the prompt masked, as language models are trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kedit.editors.base import Tags
from kedit.editors.settings import Configured, recorded
from kedit.facts import Fact
from kedit.models.activations import run
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import Row, Text, collate, encode
from kedit.updates import Replaced, Update

__all__ = ["Ft", "FtL", "FtLSettings", "FtM", "FtMSettings", "FtSettings"]

Objective = Literal["joint", "likelihood", "prompt-last"]


@dataclass(frozen=True, kw_only=True)
class FtSettings:
    """Settings of FT.

    Attributes:
        layer: the edited block.
        lr: Adam's step size.
        steps: updates at most.
        stop: ends when the mean loss of the batch is below this, in nats.
        objective: `joint`, minus the log-probability of the whole target; `likelihood`, its mean over target tokens; or
            `prompt-last` (published code), which asks for every target token at the last token of the prompt.
    """

    layer: int
    lr: float = 5e-4
    steps: int = 25
    stop: float = 1e-2
    objective: Objective = "joint"


@dataclass(frozen=True, kw_only=True)
class FtMSettings(FtSettings):
    """Settings of FT-M, as in `FtSettings`."""

    objective: Objective = "likelihood"


@dataclass(frozen=True, kw_only=True)
class FtLSettings(FtMSettings):
    """Settings of FT-L, and those of `FtSettings`.

    Attributes:
        epsilon: radius of the ball, in units of a weight.
        anchor: `session`, the weights of before the first call (paper), or `call` (published code).
    """

    epsilon: float
    anchor: Literal["session", "call"] = "session"


class Ft(Configured[FtSettings]):
    """Fine-tuning without a bound; settings as in `FtSettings`.

    Where text and published code part: the papers minimise `-log P(o* | p)`, the published code predicts every target
    token at the last token of the prompt (`objective`) and trains the bias too; here a layer is its weight.
    """

    name = "ft"
    tags = Tags(batch=True, sequential=True, writes_weights=True)
    settings: type[FtSettings] = FtSettings

    def edit(
        self, model: LanguageModel, facts: Sequence[Fact], state: Tensor | None = None
    ) -> tuple[Update, Tensor | None]:
        """Fine-tune on the whole batch; the state is the anchor `(d, f)` of FT-L, else None."""
        setting = self.begin(model, facts)
        (layer,) = model.check_layers([setting.layer])
        ball, after = _ball(setting, model.weight(layer), state)
        with model.frozen():
            weight = _fine_tune(model, facts, layer, ball, setting)
        changes = {model.weight_name(layer): Replaced(weight)}
        return recorded(self.name, model, facts, changes, setting), after


class FtM(Ft):
    """Fine-tuning with the prompt masked; settings as in `FtSettings`."""

    name = "ft-m"
    settings = FtMSettings


class FtL(Ft):
    """Fine-tuning with `max |W - W_anchor| <= epsilon` after every step; settings as in `FtLSettings`.

    Where text and published code part: the paper's ball stands around the original model, the published code moves it
    to where each call finds the weights (`anchor`).
    """

    name = "ft-l"
    settings = FtLSettings


@dataclass(frozen=True, slots=True)
class _Ball:
    """All weights within `epsilon` of `centre` `(d, f)`, entry by entry."""

    centre: Tensor
    epsilon: float

    def nearest(self, weight: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(weight, self.centre - self.epsilon), self.centre + self.epsilon)


def _ball(setting: FtSettings, weight: Tensor, state: Tensor | None) -> tuple[_Ball | None, Tensor | None]:
    """The ball of this call, and the centre that the session remembers."""
    if not isinstance(setting, FtLSettings):
        return None, None
    found = weight.float().clone()
    first = found if state is None else state.to(weight.device)
    return _Ball(first if setting.anchor == "session" else found, setting.epsilon), first


def _fine_tune(
    model: LanguageModel, facts: Sequence[Fact], layer: int, ball: _Ball | None, setting: FtSettings
) -> Tensor:
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
            read = hidden[lines.to(hidden.device), columns.to(hidden.device)]
            log_probs = torch.log_softmax(model.head(read).float(), -1)
            labels, weights = labels.to(log_probs.device), weights.to(log_probs.device)
            loss = -(log_probs.gather(1, labels[:, None])[:, 0] * weights).sum()
        if loss.item() < setting.stop:
            break
        (weight.grad,) = torch.autograd.grad(loss, [weight])
        adam.step()
        if ball is not None:
            with torch.no_grad():
                weight.copy_(ball.nearest(weight))
    return weight.detach()


def _labels(rows: Sequence[Row], objective: Objective, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Lines, columns, labels and weights of the predictions; the mean over facts of each one's loss."""
    reads = [
        (
            i,
            row.target_start - 1 + (0 if objective == "prompt-last" else t),
            label,
            1 / (len(rows) * (1 if objective == "joint" else len(row.target_ids))),
        )
        for i, row in enumerate(rows)
        for t, label in enumerate(row.target_ids)
    ]
    lines, columns, labels = (torch.tensor([read[k] for read in reads], device=device) for k in range(3))
    return lines, columns, labels, torch.tensor([read[3] for read in reads], dtype=torch.float32, device=device)
