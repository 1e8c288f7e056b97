# SPDX-License-Identifier: Apache-2.0
"""The six categories of subjects of S2RKE (appendix B.1), and the classes that its records name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["CATEGORIES", "CLASSES", "category_of"]

CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "Person": "<wordnet_person_100007846>",
        "Organization": "<wordnet_organization_108008335>",
        "Building": "<wordnet_building_102913152>",
        "Artifact": "<wordnet_artifact_100021939>",
        "Abstraction": "<wordnet_abstraction_100002137>",
        "GeoEntity": "<yagoGeoEntity>",
    }
)
CATEGORIES = tuple(CLASSES)
_NAMES = {label: category for category, label in CLASSES.items()}


def category_of(label: str) -> str:
    """The category of a class; another class is its own category, without its brackets."""
    return _NAMES.get(label) or label.strip("<>")
