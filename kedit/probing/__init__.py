# SPDX-License-Identifier: Apache-2.0
"""What to know of a model before it is edited: hooks, tokenizer, keys, where facts are read, which layers to edit."""

from __future__ import annotations

from kedit.probing.findings import Finding, ProbeError
from kedit.probing.hooks import check_hooks
from kedit.probing.key_equality import LayerKeys, check_keys, read_keys
from kedit.probing.layers import Recommendation, recommend, snippet
from kedit.probing.tokenizers import check_tokenizer
from kedit.probing.tracing import TraceConfig, Tracing, trace

__all__ = [
    "Finding",
    "LayerKeys",
    "ProbeError",
    "Recommendation",
    "TraceConfig",
    "Tracing",
    "check_hooks",
    "check_keys",
    "check_tokenizer",
    "read_keys",
    "recommend",
    "snippet",
    "trace",
]
