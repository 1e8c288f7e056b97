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
import json
from pathlib import Path
from typing import Any

from kedit.facts import Fact, FactError, Prompt, check_facts

__all__ = ["read_facts"]

TEXTS = ("prompt", "subject", "target", "true", "relation", "id")
LISTS = ("paraphrases", "neighborhood")
NEEDED = TEXTS[:4]


def read_facts(path: str | Path) -> tuple[Fact, ...]:
    """All facts of a file, or none.

    Whether the facts may stand in one batch is for `check_facts` to say; each alone is checked here.

    Raises:
        FactError: the file cannot be read, or a record cannot be edited; names the file, the record and the field.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FactError(f"{file}: cannot be read ({error}); give a JSON or JSON Lines file in UTF-8") from error
    records = _records(file.name, text)
    if not records:
        raise FactError(f"{file.name}: there are no facts in it; give at least one record")
    return tuple(_fact(f"{file.name}: record {number}", record) for number, record in records)


def _records(name: str, text: str) -> list[tuple[int, Any]]:
    """Numbers, from 1, and records; in JSON Lines the number is that of the record, not of the line."""
    if text.lstrip().startswith("["):
        try:
            return list(enumerate(json.loads(text), 1))
        except json.JSONDecodeError as error:
            raise FactError(f"{name}: not valid JSON ({error}); mend the file there") from error
    lines = [(line, content) for line, content in enumerate(text.split("\n"), 1) if content.strip()]
    found = []
    for number, (line, content) in enumerate(lines, 1):
        try:
            found.append((number, json.loads(content)))
        except json.JSONDecodeError as error:
            raise FactError(
                f"{name}: record {number} (line {line}) is not valid JSON ({error}); give one object a line, or a list"
            ) from error
    return found


def _fact(where: str, record: Any) -> Fact:
    if not isinstance(record, dict):
        raise FactError(f"{where} is a {type(record).__name__}; give an object with {', '.join(NEEDED)}")
    for name, value in record.items():
        if name not in TEXTS + LISTS:
            close = difflib.get_close_matches(name, TEXTS + LISTS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"fields are {', '.join(TEXTS + LISTS)}"
            raise FactError(f"{where}: field {name!r} is not known; {hint}")
        if name in TEXTS and not isinstance(value, str):
            raise FactError(f"{where}: field {name!r} is {value!r}; give a text")
        if name in LISTS and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            raise FactError(f"{where}: field {name!r} is {value!r}; give a list of texts")
        if any("\ud800" <= sign <= "\udfff" for sign in "".join(value)):  # JSON can name them, no tokenizer takes them
            raise FactError(f"{where}: field {name!r} holds half a character, as in {value!r}; write it whole")
    for name in NEEDED:
        if name not in record:
            raise FactError(f"{where}: field {name!r} is missing; add it")
    try:
        prompt = Prompt.from_template(record["prompt"], record["subject"])
    except FactError as error:
        raise FactError(f"{where}: field 'prompt': {error}") from error
    if not record["true"].strip():
        raise FactError(f"{where}: field 'true' is empty; give the original object")
    try:
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
    except FactError as error:
        raise FactError(f"{where}: {error}") from error
    return fact
