# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from kedit import metrics
from kedit.metrics import Metric


def test_every_metric_says_what_it_is() -> None:
    found = [value for value in vars(metrics).values() if isinstance(value, Metric)]
    assert len(found) == 18
    for metric in found:
        for field in (metric.name, metric.definition, metric.protocol, metric.unit, metric.source):
            assert field.strip()
            assert not field.endswith(".")
    names = [metric.name for metric in found]
    assert len(set(names)) == len(names)
