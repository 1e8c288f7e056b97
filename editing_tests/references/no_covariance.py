# SPDX-License-Identifier: Apache-2.0
"""ROME with the identity in the place of the second moment of keys, as most published configurations run it."""

from typing import Any

from kedit.editors.rome import Rome


class NoCovariance(Rome):
    """The bad side of `exact_match` in `longevity.sequence`: every update answers to all keys. It is on neither side of
    `forgetting`: soon no fact takes any more, and what never took is not forgotten."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"covariance": False} | settings)
