# SPDX-License-Identifier: Apache-2.0
"""The record of S2RKE (figure 9): one subject and its requested rewrites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["star_record", "star_rewrite"]


def star_rewrite(
    *, prompt: str, relation: str, true: str, new: str, paraphrases: Sequence[str], neighborhood: Sequence[str]
) -> dict[str, Any]:
    """One entry of `Star_Topology`; `prompt` is a template, `relation` has no brackets."""
    return {
        "requested_rewrite": {
            "prompt": prompt,
            "relation": f"<{relation}>",
            "target_true": true,
            "target_new": new,
        },
        "paraphrase_prompts": list(paraphrases),
        "neighborhood_prompts": list(neighborhood),
    }


def star_record(
    *, number: int, label: str, name: str, slug: str, description: str, rewrites: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The record of one subject; `label` is its class, `slug` its name in the source, without brackets."""
    return {
        "subjectID": number,
        "class": label,
        "subject": {
            "name": name,
            "URL": f"/resource/{slug}",
            "original_name": f"<{slug}>",
            "description": description,
        },
        "Star_Topology": list(rewrites),
    }
