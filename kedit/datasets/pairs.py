# SPDX-License-Identifier: Apache-2.0
"""Same-subject and distinct-subject edits from any facts (MEMIT-Merge, appendix A)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, get_args

from kedit.datasets.errors import DatasetError
from kedit.datasets.relation_tables import relation_noun
from kedit.facts import Fact, Prompt

__all__ = ["UNRELATED", "Phrase", "pairs"]

Phrase = Literal["subject-first", "relation-first"]
UNRELATED = "The capital city of America is"
"""The prompt about unrelated knowledge; a measure of specificity compares its answer before and after the edit."""
_TEMPLATES: Mapping[Phrase, str] = MappingProxyType(
    {"subject-first": "{{}}'s {noun} is", "relation-first": "The name of the {noun} of {{}} is"}
)


def pairs(
    facts: Sequence[Fact],
    n: int,
    seed: int,
    phrase: Phrase = "subject-first",
    *,
    names: Sequence[str] | None = None,
    nouns: Mapping[str, str] | None = None,
) -> tuple[list[Fact], list[Fact]]:
    """`n` relations and objects put on one name, and the same ones on `n` other names.

    Of each of `n` relations one fact `(s, r, o -> o*)` is drawn, and its subject is replaced. Neither paper nor code
    looks at what is true of the new names, so `true` is still o. The paraphrase is the other phrase; the neighborhood
    prompt is the same relation of the replaced subject s, whose object is o. The paper's second kind of specificity
    prompt, `UNRELATED`, is one for all facts and has an answer of its own, so it is no neighborhood prompt.

    Args:
        facts: with relations; only their subjects, relations and objects are used.
        n: facts in each list.
        seed: equal seeds draw the same facts for both phrases.
        phrase: which of the two templates the edits have.
        names: subjects to put in, at least `n` + 1; those of the facts that are not drawn if left out.
        nouns: what relations are called in the templates, before the built-in table.

    Returns:
        The facts of one subject, and those of distinct subjects.

    Raises:
        DatasetError: unknown phrase, too few relations or names, a relation without a noun, or two with the same one.
    """
    if phrase not in get_args(Phrase):
        raise DatasetError(f"phrase {phrase!r} is not known; take one of {', '.join(get_args(Phrase))}")
    rng = random.Random(f"kedit pairs {n} {seed}")
    drawn = _one_of_each_relation(rng, facts, n)
    _refuse_one_noun_twice(drawn, nouns)
    replaced = {fact.subject for fact in drawn}
    offered = dict.fromkeys(fact.subject for fact in facts) if names is None else dict.fromkeys(names)
    pool = [name for name in offered if name not in replaced]
    if len(pool) < n + 1:
        raise DatasetError(
            f"cannot put {n} facts on {n + 1} other subjects: there are {len(pool)}; ask for fewer facts, or pass more "
            "names"
        )
    one, *others = rng.sample(pool, n + 1)
    same = [_fact(fact, one, phrase, nouns) for fact in drawn]
    return same, [_fact(fact, other, phrase, nouns) for fact, other in zip(drawn, others, strict=True)]


def _one_of_each_relation(rng: random.Random, facts: Sequence[Fact], n: int) -> list[Fact]:
    groups: dict[str, list[Fact]] = {}
    for fact in facts:
        if fact.relation:
            groups.setdefault(fact.relation, []).append(fact)
    if n < 1 or len(groups) < n:
        raise DatasetError(
            f"cannot draw {n} facts of different relations: the facts name {len(groups)} relations; ask for at least "
            "one and at most that many, or fill in field 'relation'"
        )
    return [rng.choice(groups[relation]) for relation in rng.sample(list(groups), n)]


def _refuse_one_noun_twice(facts: Sequence[Fact], nouns: Mapping[str, str] | None) -> None:
    """On one subject their facts would share a prompt."""
    taken: dict[str, str] = {}
    for fact in facts:
        noun = relation_noun(fact.relation, nouns)
        other = taken.setdefault(noun, fact.relation)
        if other != fact.relation:
            raise DatasetError(
                f"relations {other!r} and {fact.relation!r} are both called {noun!r}, one subject cannot have both; "
                "leave the facts of one out, or name another noun for it in `nouns`"
            )


def _fact(fact: Fact, name: str, phrase: Phrase, nouns: Mapping[str, str] | None) -> Fact:
    noun = relation_noun(fact.relation, nouns)
    template = _TEMPLATES[phrase].format(noun=noun)
    (other,) = (text.format(noun=noun) for key, text in _TEMPLATES.items() if key != phrase)
    return Fact(
        prompt=Prompt.from_template(template, name),
        target=fact.target,
        true=fact.true,
        relation=fact.relation,
        paraphrases=(Prompt.from_template(other, name).text,),
        neighborhood=(Prompt.from_template(template, fact.subject).text,),
        id=f"{name}/{fact.relation}",
    )
