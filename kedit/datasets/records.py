# SPDX-License-Identifier: Apache-2.0
"""What is read from a data set: facts, with what their file says about them that a `Fact` has no place for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kedit.facts import Fact

__all__ = ["Dataset", "Probe", "Record", "Skipped"]


@dataclass(frozen=True, slots=True)
class Probe:
    """A prompt and its right answer, which follows it after one space.

    Attributes:
        kind: what the file calls it, such as `Forgetfulness`; empty if it has no name for it.
    """

    prompt: str
    answer: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One fact of a data set.

    Attributes:
        fact: the edit request.
        case: the record of the file it comes from; facts of one S2RKE subject or one MQuAKE case share it.
        category: class of the subject, where the format has classes.
        specificity: prompts whose answer the edit must leave alone. `Fact.neighborhood` holds those whose answer is
            `Fact.true`, these have answers of their own.
        portability: prompts whose answer follows from the edit, or from all edits of the case.
    """

    fact: Fact
    case: str
    category: str = ""
    specificity: tuple[Probe, ...] = ()
    portability: tuple[Probe, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that was left out: its number in the file, from 1, and why."""

    record: int
    reason: str


@dataclass(frozen=True)
class Dataset:
    """Everything that was read from one file, in its order.

    Attributes:
        format: name in `FORMATS`.
        options: what was chosen where a format leaves a choice.
        source: name of the file without its folder, or `hf:` and the id.
        fingerprint: sha256 of the file's bytes, or of the records where they come from elsewhere.
        skipped: what was left out by `skip_bad`.
    """

    records: tuple[Record, ...]
    format: str
    source: str
    fingerprint: str
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    skipped: tuple[Skipped, ...] = ()

    def facts(self) -> tuple[Fact, ...]:
        """All facts."""
        return tuple(record.fact for record in self.records)

    def by_subject(self) -> Mapping[str, tuple[Fact, ...]]:
        """The facts of each subject. Records that spell their subjects alike count as one: an editor cannot tell."""
        return _grouped((record.fact.subject, record.fact) for record in self.records)

    def cases(self) -> Mapping[str, tuple[Fact, ...]]:
        """The facts of each case."""
        return _grouped((record.case, record.fact) for record in self.records)


def _grouped(pairs: Iterable[tuple[str, Fact]]) -> Mapping[str, tuple[Fact, ...]]:
    groups: dict[str, list[Fact]] = {}
    for name, fact in pairs:
        groups.setdefault(name, []).append(fact)
    return MappingProxyType({name: tuple(facts) for name, facts in groups.items()})
