# SPDX-License-Identifier: Apache-2.0
"""Facts from files: all or none, and every error names file, record, field and mend."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editing_tests.library.profiles import drawn
from kedit.fact_files import read_facts
from kedit.facts import Fact, FactError, Prompt

GOOD = {"prompt": "{} lives in", "subject": "Ada", "target": "Spain", "true": "Peru"}
FULL = GOOD | {"relation": "r", "paraphrases": ["Ada's home is"], "neighborhood": ["Eve lives in"], "id": "f1"}


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "facts.json"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("lines", [False, True])
def test_both_forms(lines: bool, tmp_path: Path) -> None:
    records = [FULL, GOOD | {"subject": "Bo", "prompt": "In {{}} and {}, \u00e9 {} is"}]
    text = "\n\n".join(map(json.dumps, records)) + "\n" if lines else json.dumps(records, indent=2)
    first, second = read_facts(written(tmp_path, text))
    assert first == Fact(
        Prompt("", "Ada", " lives in"), "Spain", "Peru", "r", ("Ada's home is",), ("Eve lives in",), "f1"
    )
    assert second.prompt == Prompt("In {", "Bo", "} and {}, \u00e9 {} is")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"target": ""}, "record 2: fact .*: field 'target' is empty; give the new object"),
        ({"true": " "}, "record 2: field 'true' is empty; give the original object"),
        ({"true": "Spain"}, "record 2: .* field 'target' equals the true object 'Spain'; .* remove it"),
        ({"subject": ""}, "record 2: .* field 'subject' is empty"),
        ({"prompt": "lives in"}, r"record 2: field 'prompt': template 'lives in' has no '\{\}' slot; mark where"),
        ({"prompt": "{} lives in "}, "record 2: .* field 'prompt' ends in a blank; remove it"),
        ({"target": 7}, "record 2: field 'target' is 7; give a text"),
        ({"paraphrases": "Ada"}, "record 2: field 'paraphrases' is 'Ada'; give a list of texts"),
        ({"neighborhood": ["x", None]}, "record 2: field 'neighborhood' is .* give a list of texts"),
        ({"paraphrase": []}, "record 2: field 'paraphrase' is not known; did you mean 'paraphrases'"),
        ({"weight": 1}, "record 2: field 'weight' is not known; fields are prompt, subject"),
        ("Ada", "record 2 is a str; give an object with prompt, subject, target, true"),
    ],
)
@pytest.mark.parametrize("lines", [False, True])
def test_one_bad_record_and_nothing_is_loaded(record: Any, message: str, lines: bool, tmp_path: Path) -> None:
    records = [GOOD, GOOD | record if isinstance(record, dict) else record, GOOD | {"subject": "Bo"}]
    text = "\n".join(map(json.dumps, records)) if lines else json.dumps(records)
    with pytest.raises(FactError, match=rf"^facts\.json: {message}"):
        read_facts(written(tmp_path, text))


@pytest.mark.parametrize("name", ["prompt", "subject", "target", "true"])
def test_missing_fields_are_named(name: str, tmp_path: Path) -> None:
    record = {key: value for key, value in GOOD.items() if key != name}
    with pytest.raises(FactError, match=rf"facts\.json: record 1: field '{name}' is missing; add it"):
        read_facts(written(tmp_path, json.dumps([record])))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there are no facts in it; give at least one record"),
        ("[]", "there are no facts in it"),
        ("[{", "record 1 is not valid JSON"),
        (json.dumps(GOOD) + "\n\n{cut", r"record 2 \(line 3\) is not valid JSON .* give one object a line, or a list"),
    ],
)
def test_files_that_are_none(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FactError, match=rf"facts\.json: {message}"):
        read_facts(written(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FactError, match=re.escape(f"{tmp_path / 'no.json'}: cannot be read")):
        read_facts(tmp_path / "no.json")
    (tmp_path / "latin.json").write_bytes('[{"subject": "\u00e9"}]'.encode("latin-1"))
    with pytest.raises(FactError, match="give a JSON or JSON Lines file in UTF-8"):
        read_facts(tmp_path / "latin.json")


@drawn(0.5)
@given(text=st.text(max_size=60) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_text_gives_facts_or_a_named_error(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(FactError, match=r"any\.json"):
        read_facts(path)
