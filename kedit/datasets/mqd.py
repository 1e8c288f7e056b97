# SPDX-License-Identifier: Apache-2.0
"""MQD: three question types about the same events of ATOMIC (D4S, section 3.2)."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from kedit.datasets.errors import DatasetError
from kedit.datasets.questions import QuestionType, multiple_choice, true_or_false
from kedit.datasets.sampling import draw_without
from kedit.datasets.text_lines import text_lines
from kedit.facts import Fact, Prompt

__all__ = ["WORDING", "Atomic", "Inference", "question_types", "read_atomic"]

# What stands between the two events.
WORDING: Mapping[str, str] = MappingProxyType(
    {
        "xIntent": ", because PersonX wanted",
        "xNeed": ", and before that PersonX needed",
        "xAttr": ", so people say that PersonX is",
        "xEffect": ", and as a result PersonX",
        "xReact": ", which makes PersonX feel",
        "xWant": ", and after that PersonX wants",
        "oEffect": ", and as a result PersonY",
        "oReact": ", which makes PersonY feel",
        "oWant": ", and after that PersonY wants",
    }
)
_STRANGE = re.compile(r"[^\w\s'\".,;:!?()$%/-]")
_OTHERS = 3


@dataclass(frozen=True, slots=True)
class Inference:
    """One row of ATOMIC: an event, a relation, and the event that follows from it; `line` is where it stands."""

    event: str
    relation: str
    object: str
    line: int


@dataclass(frozen=True, slots=True)
class Atomic:
    """What was read, and how many rows were left out for which reason."""

    rows: tuple[Inference, ...]
    left_out: Mapping[str, int]


def read_atomic(path: str | Path) -> Atomic:
    """Read rows `event1 <tab> relation <tab> event2`; a first line that names its columns is passed over.

    Left out and counted are rows of relations without a wording, with a blank to fill in (`___`), with the event
    `none` or none at all, with characters that are not of a sentence (such as `&`), and repeated rows.

    Raises:
        DatasetError: the file cannot be read, a line has not three columns, or no row is left.
    """
    name = Path(path).name
    rows: dict[tuple[str, str, str], Inference] = {}
    left_out: Counter[str] = Counter()
    for number, line in text_lines(path):
        columns = [" ".join(column.split()) for column in line.split("\t")]
        if len(columns) != 3:
            raise DatasetError(
                f"{name}: line {number} has {len(columns)} columns; give event, relation and event, with tabs between"
            )
        event, relation, other = columns
        if number == 1 and relation.lower() == "relation":
            continue
        reason = _fault(event, relation, other) or ("repeated" if (event, relation, other) in rows else "")
        if reason:
            left_out[reason] += 1
        else:
            rows[event, relation, other] = Inference(event, relation, other, number)
    if not rows:
        counts = ", ".join(f"{reason} {count}" for reason, count in left_out.items()) or "the file is empty"
        raise DatasetError(f"{name}: no usable row ({counts}); give ATOMIC's rows with relations {', '.join(WORDING)}")
    return Atomic(tuple(rows.values()), MappingProxyType(dict(left_out)))


def _fault(event: str, relation: str, other: str) -> str:
    if relation not in WORDING:
        return "relation without wording"
    if "__" in event + other:
        return "blank to fill in"
    if not event or other.lower() in ("none", ""):
        return "no event"
    return "strange character" if _STRANGE.search(event + other) else ""


def question_types(rows: Sequence[Inference], n: int, seed: int) -> Mapping[QuestionType, list[Fact]]:
    """`n` facts of each of the three types; the i-th of each type is about the same row.

    The rows are of `n` different first events. That event is the marked subject, whole: it is what the fact is about,
    and it stands first, in the same words, in all three types.

    - `DG`: event and relation; the target is the second event, `true` that of another event with this relation.
    - `MQ`: the same with four options; the three others belong to other relations, as far as there are any, and never
      to this event. The target is the letter, `true` another option's.
    - `T/F`: whether the sentence is logical. Half of them, rounded up, state the second event (`yes`), the others one
      of the wrong options (`no`).

    Raises:
        DatasetError: too few events, or too few second events to choose wrong ones from.
    """
    rng = random.Random(f"kedit mqd {n} {seed}")
    groups: dict[str, list[Inference]] = {}
    for row in rows:
        groups.setdefault(row.event, []).append(row)
    if n < 1 or len(groups) < n:
        raise DatasetError(
            f"cannot draw {n} facts of different events: the rows have {len(groups)}; ask for at least one and at most "
            "that many"
        )
    chosen = [rng.choice(groups[event]) for event in rng.sample(list(groups), n)]
    wrong = set(rng.sample(range(n), n // 2))
    own, foreign = _pools(rows)
    made: dict[QuestionType, list[Fact]] = {"DG": [], "MQ": [], "T/F": []}
    for place, row in enumerate(chosen):
        known = {other.object for other in groups[row.event]}
        (true,) = _draw(rng, own[row.relation], known, 1, row)
        others = _draw(rng, foreign[row.relation], known, _OTHERS, row)
        fact = Fact(
            prompt=Prompt("", row.event, WORDING[row.relation]),
            target=row.object,
            true=true,
            relation=row.relation,
            id=f"line {row.line}",
        )
        made["DG"].append(fact)
        made["MQ"].append(multiple_choice(rng, fact, others))
        if place in wrong:
            made["T/F"].append(true_or_false(fact, others[0], "no"))
        else:
            made["T/F"].append(true_or_false(fact, row.object, "yes"))
    return MappingProxyType(made)


def _pools(rows: Sequence[Inference]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """For each relation its second events, and those of all other relations (its own if there is no other)."""
    own: dict[str, dict[str, None]] = {}
    for row in rows:
        own.setdefault(row.relation, {})[row.object] = None
    foreign = {
        relation: list(
            {text: None for other, texts in own.items() if other != relation for text in texts} or own[relation]
        )
        for relation in own
    }
    return {relation: list(texts) for relation, texts in own.items()}, foreign


def _draw(rng: random.Random, pool: Sequence[str], known: Collection[str], count: int, row: Inference) -> list[str]:
    """`count` different texts of `pool` that are not known to follow from the row's event."""
    fitting = draw_without(rng, pool, known, count)
    if len(fitting) < count:
        raise DatasetError(
            f"line {row.line}: relation {row.relation!r} needs {count} events that do not follow from {row.event!r}, "
            f"there are {len(fitting)}; give more rows"
        )
    return fitting
