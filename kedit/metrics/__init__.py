# SPDX-License-Identifier: Apache-2.0
"""Metrics: each a named object with definition, protocol and unit."""

from __future__ import annotations

from kedit.metrics.evaluation import Evaluation, FactEvaluation, evaluate
from kedit.metrics.exact_match import EM, PAR, SPE, exact_match_by_fact, exact_match_rate
from kedit.metrics.keys import (
    AKD,
    KEY_COSINE,
    average_key_distance,
    average_pairwise_cosine,
    key_cosine,
    nearest_cosines,
)
from kedit.metrics.knowledge import Criterion, KnownFacts, known_facts
from kedit.metrics.metric import Metric, MetricError
from kedit.metrics.multiple_choice import CHOICE, Question, choice_accuracy, choice_rate, option_log_probs
from kedit.metrics.norms import FROBENIUS, L1, RELATIVE_CHANGE, frobenius_norm, mean_absolute_entry, relative_change
from kedit.metrics.perplexity import PPL, model_perplexity, perplexity, token_log_probs
from kedit.metrics.retention import AFTER_ALL, AFTER_EACH, FORGETTING, Retention, forgetting
from kedit.metrics.score import SD, S, harmonic_mean, score, score_difference
from kedit.metrics.success import ES, NS, PS, Comparison, mean_log_prob, success_rate

__all__ = [
    "AFTER_ALL",
    "AFTER_EACH",
    "AKD",
    "CHOICE",
    "EM",
    "ES",
    "FORGETTING",
    "FROBENIUS",
    "KEY_COSINE",
    "L1",
    "NS",
    "PAR",
    "PPL",
    "PS",
    "RELATIVE_CHANGE",
    "SD",
    "SPE",
    "Comparison",
    "Criterion",
    "Evaluation",
    "FactEvaluation",
    "KnownFacts",
    "Metric",
    "MetricError",
    "Question",
    "Retention",
    "S",
    "average_key_distance",
    "average_pairwise_cosine",
    "choice_accuracy",
    "choice_rate",
    "evaluate",
    "exact_match_by_fact",
    "exact_match_rate",
    "forgetting",
    "frobenius_norm",
    "harmonic_mean",
    "key_cosine",
    "known_facts",
    "mean_absolute_entry",
    "mean_log_prob",
    "model_perplexity",
    "nearest_cosines",
    "option_log_probs",
    "perplexity",
    "relative_change",
    "score",
    "score_difference",
    "success_rate",
    "token_log_probs",
]
