# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from kedit.metrics import EM, MetricError
from kedit.models.language_model import LanguageModel
from kedit.models.scoring import score_targets


def test_one_wrong_token_makes_the_target_wrong(bigram: LanguageModel) -> None:
    # Greedy after b: b, b, b. "b a" has one right token of two.
    scored = score_targets(bigram, [("b", "b b"), ("b", "b a"), ("b", "c"), ("a b", "b")])
    assert [one.greedy for one in scored] == [True, False, False, True]
    assert EM([one.greedy for one in scored]) == 0.5


def test_no_targets_give_no_rate() -> None:
    with pytest.raises(MetricError):
        EM([])
