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


def test_a_target_that_needs_its_own_first_token_to_be_given_is_wrong(bigram: LanguageModel) -> None:
    """Pitfall 46: after "b" greedy decoding says "b"; "c" is said after a given "c" only."""
    leaked, free = score_targets(bigram, [("b", "c c"), ("c", "c c")])
    assert leaked.log_probs[1].exp() == pytest.approx(5 / 8)
    assert (leaked.greedy, free.greedy) == (False, True)


def test_no_targets_give_no_rate() -> None:
    with pytest.raises(MetricError):
        EM([])
