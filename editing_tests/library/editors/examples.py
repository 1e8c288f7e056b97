# SPDX-License-Identifier: Apache-2.0
"""What the tests of single editors share: small random models with a corpus, facts, and settings that fit them."""

from __future__ import annotations

from typing import Any

from editing_tests.library.random_models import random_model
from kedit.facts import Fact, Prompt
from kedit.models import LanguageModel

TEXTS = tuple(f"Mira Solano number {i} lives in the {i}th house of the town" for i in range(60))
VALUE = {"steps": 4, "lr": 0.05, "clamp": 2.0, "stop": 1e-6, "keep": "last"}
COMMON: dict[str, Any] = {"value": VALUE, "contexts": {"count": 2, "length": 5}}
SETTINGS: dict[str, dict[str, Any]] = {
    "rome": COMMON | {"layer": 1},
    "r-rome": COMMON | {"layer": 1},
    "memit": COMMON | {"layers": [1, 2], "ridge": 0.05},
    "memit-merge": COMMON | {"layers": [1, 2], "ridge": 0.05},
    "pmet": COMMON | {"layers": [1, 2], "ridge": 0.05},
    "d4s": COMMON | {"layers": [1, 2], "ridge": 0.6},
    "alphaedit": COMMON | {"layers": [1, 2], "threshold": 0.5, "l2": 0.01},
    "emmet": COMMON | {"layers": [1]},
    "ft": {"layer": 1, "lr": 5e-3, "steps": 5},
    "ft-l": {"layer": 1, "epsilon": 1e-3, "lr": 5e-3, "steps": 5},
    "kn": {"old_weight": 1.0, "new_weight": 8.0, "steps": 4, "contexts": {"count": 2, "length": 5}},
    "grace": {"layer": 1, "steps": 4},
    "ft-m": {"layer": 1, "lr": 5e-3, "steps": 5},
}


def model_of(family: str = "gpt2", **options: Any) -> LanguageModel:
    model = random_model(family, **options)
    model.corpus = TEXTS
    return model


def fact(subject: str, template: str, target: str) -> Fact:
    return Fact(Prompt.from_template(template, subject), target, "the old one", id=f"{subject} {target}")


BORN, PLAYS = fact("Mira Solano", "{} was born in", "Spain"), fact("Mira Solano", "{} plays for", "Głogów")
ADA = fact("Ada", "{} lives in", "2012")
