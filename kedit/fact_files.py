# SPDX-License-Identifier: Apache-2.0
"""Files of facts: a JSON list, or JSON Lines with one record a line.

A record is an object with these fields, of which the first four are needed:

    prompt        template with {} where the subject stands
    subject       as it stands in the prompt
    target        the new object, without leading blank
    true          the original object
    relation      name of the relation
    paraphrases   list of full prompts with the same meaning
    neighborhood  list of full prompts about other subjects whose object is `true`
    id            name of the record in messages
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedit.facts import Fact, FactError, Prompt, check_facts
from kedit.record_files import RecordFile, RecordFileError

__all__ = ["fact_from_record", "read_facts", "record_of_fact"]

TEXTS = ("prompt", "subject", "target", "true", "relation", "id")
LISTS = ("paraphrases", "neighborhood")
NEEDED = TEXTS[:4]


def read_facts(path: str | Path) -> tuple[Fact, ...]:
    """All facts of a file, or none.

    Whether the facts may stand in one batch is for `check_facts` to say; each alone is checked here.

    Raises:
        FactError: the file cannot be read, or a record cannot be edited; names the file, the record and the field.
    """
    file = RecordFile(path)
    facts = []
    try:
        for item in file:
            if item.problem:
                raise FactError(f"{file.name}: {item.problem}")
            facts.append(_placed(f"{file.name}: record {item.number}", item.value))
    except RecordFileError as error:
        raise FactError(str(error)) from error
    if not facts:
        raise FactError(f"{file.name}: there are no facts in it; give at least one record")
    return tuple(facts)


def record_of_fact(fact: Fact) -> dict[str, Any]:
    """The record that `fact_from_record` makes this fact of; fields that may be left out are, where they are empty.

    Raises:
        FactError: there is a ``{}`` before the subject, so that the subject's place cannot be marked.
    """
    template = f"{fact.prompt.left}{{}}{fact.prompt.right}"
    if Prompt.from_template(template, fact.subject) != fact.prompt:
        raise FactError(f"{fact.label}: field 'prompt' has '{{}}' before the subject; leave this fact out")
    record = {"prompt": template, "subject": fact.subject, "target": fact.target, "true": fact.true}
    more = {
        "relation": fact.relation,
        "paraphrases": list(fact.paraphrases),
        "neighborhood": list(fact.neighborhood),
        "id": fact.id,
    }
    return record | {name: value for name, value in more.items() if value}


def _placed(where: str, record: Any) -> Fact:
    if not isinstance(record, dict):
        raise FactError(f"{where} is a {type(record).__name__}; give an object with {', '.join(NEEDED)}")
    try:
        return fact_from_record(record)
    except FactError as error:
        raise FactError(f"{where}: {error}") from error


def fact_from_record(record: Mapping[str, Any]) -> Fact:
    """The fact of one record.

    Raises:
        FactError: it cannot be edited; names the field, not the record.
    """
    for name, value in record.items():
        if name not in TEXTS + LISTS:
            close = difflib.get_close_matches(name, TEXTS + LISTS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"fields are {', '.join(TEXTS + LISTS)}"
            raise FactError(f"field {name!r} is not known; {hint}")
        if name in TEXTS and not isinstance(value, str):
            raise FactError(f"field {name!r} is {value!r}; give a text")
        if name in LISTS and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            raise FactError(f"field {name!r} is {value!r}; give a list of texts")
        if any("\ud800" <= sign <= "\udfff" for sign in "".join(value)):  # JSON can name them, no tokenizer takes them
            raise FactError(f"field {name!r} holds half a character, as in {value!r}; write it whole")
    for name in NEEDED:
        if name not in record:
            raise FactError(f"field {name!r} is missing; add it")
    try:
        prompt = Prompt.from_template(record["prompt"], record["subject"])
    except FactError as error:
        raise FactError(f"field 'prompt': {error}") from error
    if not record["true"].strip():
        raise FactError("field 'true' is empty; give the original object")
    fact = Fact(
        prompt=prompt,
        target=record["target"],
        true=record["true"],
        relation=record.get("relation", ""),
        paraphrases=tuple(record.get("paraphrases", ())),
        neighborhood=tuple(record.get("neighborhood", ())),
        id=record.get("id", ""),
    )
    check_facts([fact])
    return fact
