# SPDX-License-Identifier: Apache-2.0
"""KN (Dai et al. 2022, "Knowledge Neurons in Pretrained Transformers"): a few columns of the down-projections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from kedit.editors.base import EditorError, Tags
from kedit.editors.settings import Configured, recorded
from kedit.facts import Fact, FactError
from kedit.locate_then_edit.contexts import ContextConfig
from kedit.locate_then_edit.pipeline import Session, open_session
from kedit.models.attributions import Attributions, attribute_neurons
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import Text, encode
from kedit.updates import LowRank, Update

__all__ = ["Kn", "KnSettings", "select"]

# What the paper raises and lowers the share of prompts by.
SHARE_STEP = 0.05


@dataclass(frozen=True, kw_only=True)
class KnSettings:
    """Settings of KN.

    Attributes:
        old_weight: times the embedding of the old answer, subtracted; 1 on BERT (paper).
        new_weight: times the embedding of the new answer, added; 8 on BERT (paper).
        steps: points of the integral; where they leave a gap above `tolerance`, twice as many, and so on.
        most_steps: where doubling them ends.
        threshold: a prompt's neurons are those above this share of its largest attribution in any layer.
        share: share of the prompts that must find a neuron, at first.
        fewest: neurons of a fact; with fewer the share falls in steps of 0.05.
        most: neurons of a fact; with more the share rises in steps of 0.05, at most to 1.
        embedding: rows of the `output` matrix, or of the `input` one.
        tokens: the embedding of an answer is that of its `first` token, or the sum of `all`.
        tolerance: largest distance of the attributions from completeness, as a probability.
        contexts: the sampled prefixes; with the bare prompt they are the prompts that express the fact.
    """

    old_weight: float
    new_weight: float
    steps: int = 20
    most_steps: int = 1280
    threshold: float = 0.2
    share: float = 0.7
    fewest: int = 2
    most: int = 5
    embedding: Literal["output", "input"] = "output"
    tokens: Literal["first", "all"] = "first"
    tolerance: float = 0.05
    contexts: ContextConfig = field(default_factory=ContextConfig)


class Kn(Configured[KnSettings]):
    """Knowledge neurons; settings as keyword arguments, see `KnSettings`.

    A fact's neurons are those that integrated gradients find for its old answer at the last token of the prompt, in
    several prompts at once; their columns get `- old_weight E[old] + new_weight E[new]` (sections 3.1, 3.2 and 5.1).

    Where text, published code and kedit part:

    * Neurons are the activations after the nonlinearity, as in the paper; the published code for decoders takes the
      pre-activations.
    * The paper's prompts for the refinement are paraphrases of the fact. These judge the edit here, so the bare prompt
      behind sampled contexts takes their place; the published code uses one prompt and no refinement (`contexts` of
      count 0, `most` without bound). The paper moves the share until a relation has two to five neurons on average;
      here each fact for itself.
    * The paper's answers have one token, and one matrix of embeddings is input and output. `tokens` and `embedding` say
      what is done otherwise; the published code takes input embeddings, the first old token, and all new ones, with
      weights 2 and 1.
    * Token ids are those of prompt and answer as one text; the published code encodes answers alone, without blank and
      with BOS.

    A fact whose old answer gets no probability from any neuron has none; then the update changes nothing, and its notes
    say so.
    """

    name = "kn"
    tags = Tags(sequential=True, writes_weights=True)
    settings = KnSettings

    def __init__(self, **settings: Any) -> None:
        """Raises EditorError for a setting that `KnSettings` does not have, of another type or out of range."""
        super().__init__(**settings)
        if settings.get("steps", 1) < 1:
            raise EditorError(f"kn: steps is {settings['steps']}, expected at least 1; the paper takes 20")

    def edit(self, model: LanguageModel, facts: Sequence[Fact], state: Session | None = None) -> tuple[Update, Session]:
        """An update for one fact; the state is the session's contexts.

        Raises:
            FactError: the fact names no old object.
            EditorError: more than one fact, or attributions that are far from complete.
        """
        setting = self.begin(model, facts)
        (fact,) = facts
        if not fact.true.strip():
            raise FactError(f"{fact.label}: field 'true' is empty; kn looks for the neurons of the old object, give it")
        session = state or open_session(model, (), setting.contexts, covariance=False)
        rows = encode(model.tokenizer, [Text(fact.prompt, fact.true, context) for context in session.contexts])
        (wanted,) = encode(model.tokenizer, [Text(fact.prompt, fact.target)])
        with model.frozen():
            found = attribute_neurons(
                model, rows, setting.steps, tolerance=setting.tolerance, most_steps=setting.most_steps
            )
        if found.gap > setting.tolerance:
            raise EditorError(
                f"kn: the attributions of {fact.label} miss the change of its probability by {found.gap:.2g} after "
                f"{found.steps} steps; raise 'most_steps' to take more steps"
            )
        chosen, share = select(found, setting)
        old, new = (_embedding(model, row.target_ids, setting) for row in (rows[0], wanted))
        column = setting.new_weight * new - setting.old_weight * old
        changes = {
            model.weight_name(layer): _columns(neurons, column, model.f)
            for layer, neurons in enumerate(chosen)
            if len(neurons)
        }
        notes = {
            "neurons": {layer: neurons.tolist() for layer, neurons in enumerate(chosen) if len(neurons)},
            "share": share,
            "completeness_gap": found.gap,
            "steps": found.steps,
        }
        return recorded(self.name, model, facts, changes, setting, notes=notes), session


def select(found: Attributions, setting: KnSettings) -> tuple[list[Tensor], float]:
    """The neurons of each layer, and the share of prompts that found them (section 3.2).

    Args:
        found: attributions of all prompts of one fact.
        setting: threshold, share and the bounds on the number of neurons.
    """
    largest = found.scores.amax((1, 2), keepdim=True)
    coarse = (found.scores > setting.threshold * largest) & (largest > 0)
    kept_by = coarse.float().mean(0)  # (layers, f)
    share = setting.share
    # Shares of a few prompts are few numbers; half a step keeps rounding from deciding.
    while share > SHARE_STEP / 2 and int(_reached(kept_by, share).sum()) < setting.fewest:
        share -= SHARE_STEP
    while share < 1 - SHARE_STEP / 2 and int(_reached(kept_by, share).sum()) > setting.most:
        share += SHARE_STEP
    return [layer.nonzero()[:, 0] for layer in _reached(kept_by, share)], round(share, 2)


def _reached(kept_by: Tensor, share: float) -> Tensor:
    return (kept_by > 0) & (kept_by >= share - 1e-6)


def _embedding(model: LanguageModel, ids: Sequence[int], setting: KnSettings) -> Tensor:
    """The embedding `(d,)` of an answer, float64."""
    table = model.head if setting.embedding == "output" else model.module.get_input_embeddings()
    asked = list(ids[:1] if setting.tokens == "first" else ids)
    return table.get_parameter("weight").detach()[asked].double().sum(0).cpu()


def _columns(neurons: Tensor, column: Tensor, f: int) -> LowRank:
    """The same column added at every neuron, and at no other."""
    at = torch.zeros(f, len(neurons), dtype=torch.float64)
    at[neurons, torch.arange(len(neurons))] = 1.0
    return LowRank(column[:, None].expand(-1, len(neurons)), at)
