# SPDX-License-Identifier: Apache-2.0
"""What an editable model is."""

from kedit.models.architectures import ARCHITECTURES, Architecture, ModelError
from kedit.models.full_models import FULL_MODELS, FullModel, configuration
from kedit.models.language_model import LanguageModel
from kedit.models.scoring import Scored, score_targets, score_texts

__all__ = [
    "ARCHITECTURES",
    "FULL_MODELS",
    "Architecture",
    "FullModel",
    "LanguageModel",
    "ModelError",
    "Scored",
    "configuration",
    "score_targets",
    "score_texts",
]
