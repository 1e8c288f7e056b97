# SPDX-License-Identifier: Apache-2.0
"""MEMIT with its keys read elsewhere: an ablation that the papers leave open.

S2RKE (section 5) finds the cause of perturbation in keys that know the subject only. At the prompt's last token a key
knows the relation too, so facts of one subject have different keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kedit.editors.base import Tags
from kedit.editors.memit import Memit, MemitSettings
from kedit.facts import Fact, Prompt
from kedit.locate_then_edit.pipeline import Session
from kedit.models.language_model import LanguageModel
from kedit.updates import Update

__all__ = ["RelationKeys", "RelationKeysSettings", "at_relation"]


@dataclass(frozen=True, kw_only=True)
class RelationKeysSettings(MemitSettings):
    """Settings of `RelationKeys`, and those of MEMIT.

    Attributes:
        position: where value and key stand: at the `relation`'s last token, which is the prompt's, or at `both` places,
            a column each.
    """

    position: Literal["relation", "both"] = "relation"


class RelationKeys(Memit):
    """MEMIT that edits at the prompt's last token, or there and at the subject's; the presets are MEMIT's."""

    name = "memit"
    tags = Tags(batch=True, sequential=True, writes_weights=True, needs_statistics=True)
    settings = RelationKeysSettings

    def edit(self, model: LanguageModel, facts: Sequence[Fact], state: Session | None = None) -> tuple[Update, Session]:
        """As MEMIT's, on facts whose marked words are the prompt's last one."""
        setting = self.begin(model, facts)
        moved = [at_relation(fact) for fact in facts]
        both = [*facts, *moved] if getattr(setting, "position", "relation") == "both" else moved
        update, session = self.rewritten(model, both, setting, state)
        return replace(update, facts=tuple(facts)), session


def at_relation(fact: Fact) -> Fact:
    """The same request, with the last word of its prompt marked instead of the subject."""
    text = fact.prompt.text
    start = text.rindex(" ") + 1 if " " in text else 0
    return replace(fact, prompt=Prompt(text[:start], text[start:], ""))
