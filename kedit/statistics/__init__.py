# SPDX-License-Identifier: Apache-2.0
"""Second moments of keys."""

from kedit.statistics.second_moments import SecondMoment, StatisticsError, measure, second_moments

__all__ = ["SecondMoment", "StatisticsError", "measure", "second_moments"]
