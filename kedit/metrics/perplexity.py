# SPDX-License-Identifier: Apache-2.0
"""Perplexity of texts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from kedit.metrics.metric import Metric, MetricError
from kedit.models.activations import BATCH_TOKENS
from kedit.models.language_model import LanguageModel
from kedit.models.scoring import score_texts

__all__ = ["PPL", "model_perplexity", "perplexity", "token_log_probs"]


def perplexity(log_probs: Sequence[Tensor]) -> float:
    """`exp` of the mean negative log-probability over all predicted tokens of all texts.

    A text of N tokens predicts N - 1 of them, and N - 1 is what it counts for (dividing by N would
    flatter short texts).

    Args:
        log_probs: for each text, `(N - 1,)` log-probabilities, nats.

    Raises:
        MetricError: no texts, or one without a predicted token.
    """
    for index, text in enumerate(log_probs):
        if text.numel() == 0:
            raise MetricError(f"text {index} has no predicted token; give texts of at least two tokens")
    if not log_probs:
        raise MetricError("the perplexity of no texts is not defined; pass at least one text")
    return math.exp(-float(torch.cat([text.double() for text in log_probs]).mean()))


def token_log_probs(model: LanguageModel, texts: Sequence[str], *, batch_tokens: int = BATCH_TOKENS) -> list[Tensor]:
    """Log-probability of every token but the first, `(N - 1,)` float64 per text, on the model as it is now.

    Raises:
        MetricError: no texts, one with fewer than two tokens, or one longer than the model's positions.
    """
    if not texts:
        raise MetricError("the perplexity of no texts is not defined; pass at least one text")
    positions = getattr(model.module.config, "max_position_embeddings", None)
    for index, ids in enumerate(model.tokenizer(list(texts))["input_ids"]):
        if len(ids) < 2:
            raise MetricError(f"text {index} has no predicted token; give texts of at least two tokens")
        if positions is not None and len(ids) > positions:
            raise MetricError(
                f"text {index} has {len(ids)} tokens, {model.name} has {positions} positions; cut the text"
            )
    return [scored.log_probs for scored in score_texts(model, texts, batch_tokens=batch_tokens)]


def model_perplexity(model: LanguageModel, texts: Sequence[str], *, batch_tokens: int = BATCH_TOKENS) -> float:
    """Perplexity of `texts` on the model as it is now.

    Raises:
        MetricError: no texts, a text with fewer than two tokens, or one that is too long.
    """
    return perplexity(token_log_probs(model, texts, batch_tokens=batch_tokens))


PPL = Metric(
    name="PPL",
    definition="exponential of the mean negative log-probability over the predicted tokens, N - 1 per text",
    protocol="whole texts, each alone; tokens pooled over texts; padding not counted",
    unit="tokens (branching factor)",
    source="S2RKE, appendix C.3; D4S, equation 1, over the predicted tokens",
    better="lower",
    compute=perplexity,
)
