# SPDX-License-Identifier: Apache-2.0
"""Facts: what an editor is asked to change, checked before any weight is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Fact", "FactError", "Prompt", "check_facts"]

SLOT = "{}"


class FactError(ValueError):
    """A fact that cannot be edited; the message names the record, the field and the mend."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt with one marked subject, kept in three pieces so that nothing is ever formatted.

    Braces, repeated subjects and subjects inside other words are therefore harmless: the declared
    span is the one that is edited.
    """

    left: str
    subject: str
    right: str

    @property
    def text(self) -> str:
        """The whole prompt, without the target."""
        return self.left + self.subject + self.right

    @property
    def subject_span(self) -> tuple[int, int]:
        """Character offsets `[start, end)` of the subject in `text`."""
        return len(self.left), len(self.left) + len(self.subject)

    @classmethod
    def from_template(cls, template: str, subject: str) -> Prompt:
        """Put `subject` at the first ``{}`` of `template`.

        Raises:
            FactError: the template has no ``{}``.
        """
        left, slot, right = template.partition(SLOT)
        if not slot:
            raise FactError(f"template {template!r} has no '{{}}' slot; mark where the subject stands")
        return cls(left, subject, right)

    @classmethod
    def from_text(cls, text: str, subject: str) -> Prompt:
        """Mark the first occurrence of `subject` in `text`.

        Raises:
            FactError: the subject does not occur in the text.
        """
        start = text.find(subject) if subject else -1
        if start < 0:
            raise FactError(
                f"subject {subject!r} is not in the prompt {text!r}; spell it as the prompt does (case matters)"
            )
        return cls(text[:start], subject, text[start + len(subject) :])


@dataclass(frozen=True, slots=True)
class Fact:
    """One requested rewrite `(s, r, o -> o*)` with the prompts that judge it.

    Attributes:
        prompt: the rewrite prompt; the target follows it after one space.
        target: the new object `o*`, without leading space.
        true: the original object `o`.
        relation: name of the relation, for tables only.
        paraphrases: full prompt texts with the same meaning.
        neighborhood: full prompt texts about other subjects whose correct object is `true`.
        id: name of the record in messages.
    """

    prompt: Prompt
    target: str
    true: str
    relation: str = ""
    paraphrases: tuple[str, ...] = ()
    neighborhood: tuple[str, ...] = ()
    id: str = ""

    @property
    def subject(self) -> str:
        """The subject string."""
        return self.prompt.subject

    @property
    def label(self) -> str:
        """How messages name this fact."""
        return f"fact {self.id!r}" if self.id else f"fact {self.prompt.text!r} -> {self.target!r}"


def check_facts(facts: Sequence[Fact]) -> None:
    """Refuse a batch that cannot be edited as asked.

    Raises:
        FactError: empty batch, empty or blank-padded field or text, target equal to the true object, or two
            facts of the batch that ask different targets of one prompt (or ask the same one twice).
    """
    if not facts:
        raise FactError("the batch has no facts; pass at least one")
    seen: dict[str, Fact] = {}
    for fact in facts:
        _check_fields(fact)
        other = seen.get(fact.prompt.text)
        if other is None:
            seen[fact.prompt.text] = fact
        elif other.target != fact.target:
            raise FactError(
                f"{fact.label}: field 'target' contradicts another fact of the batch: {fact.prompt.text!r} is asked "
                f"to become both {other.target!r} and {fact.target!r}; keep one of them"
            )
        else:
            raise FactError(
                f"{fact.label}: field 'prompt' stands twice in the batch with the same target; remove the duplicate"
            )


def _check_fields(fact: Fact) -> None:
    if not fact.subject.strip():
        raise FactError(f"{fact.label}: field 'subject' is empty; name the subject as it stands in the prompt")
    if fact.subject != fact.subject.strip():
        raise FactError(f"{fact.label}: field 'subject' has blanks at its ends; move them into the prompt")
    if not fact.target.strip():
        raise FactError(f"{fact.label}: field 'target' is empty; give the new object")
    if fact.target != fact.target.strip():
        raise FactError(f"{fact.label}: field 'target' has blanks at its ends; give {fact.target.strip()!r}")
    if fact.target == fact.true:
        raise FactError(
            f"{fact.label}: field 'target' equals the true object {fact.true!r}; there is nothing to edit, remove it"
        )
    if fact.prompt.text != fact.prompt.text.rstrip():
        raise FactError(
            f"{fact.label}: field 'prompt' ends in a blank; remove it, the target is joined after one space"
        )
    for name, texts in (("paraphrases", fact.paraphrases), ("neighborhood", fact.neighborhood)):
        for text in texts:
            if not text or text != text.rstrip():
                raise FactError(
                    f"{fact.label}: field {name!r} has the text {text!r}, which is empty or ends in a blank; mend it, "
                    "an object is joined after one space"
                )
