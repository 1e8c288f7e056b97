# SPDX-License-Identifier: Apache-2.0
"""Records come one at a time as JSON has them, whatever the length of file, records and blanks."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editing_tests.library.profiles import drawn
from kedit.record_files import RECORD_LIMIT, RecordFile, RecordFileError

CHUNK = 1 << 16
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def values(path: Path) -> list[Any]:
    return [item.value for item in RecordFile(path)]


@drawn()
@given(records=st.lists(VALUES, max_size=5), gap=st.sampled_from([0, 1, CHUNK - 3, CHUNK, CHUNK + 1]))
def test_lists_are_what_json_reads(
    records: list[Any], gap: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "list.json"
    text = "[" + (" " * gap + "\n,").join(json.dumps(record) for record in records) + " ]\n"
    path.write_text(text, encoding="utf-8")
    assert values(path) == json.loads(text) == records


@pytest.mark.parametrize("record", [12345, -1.5e-7, True, None, '\u00e9\\"\n\U0001f600', {"a": [1]}])
def test_a_record_may_lie_across_the_end_of_a_read(record: Any, tmp_path: Path) -> None:
    path = tmp_path / "edge.json"
    for told in (json.dumps(record), json.dumps(record, ensure_ascii=False)):
        for back in range(len(told.encode()) + 2):
            path.write_text("[" + " " * (CHUNK - 1 - back) + told + ", 7]", encoding="utf-8")
            assert values(path) == [record, 7]


def test_lines_are_numbered_by_record_and_a_bad_one_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "facts.jsonl"
    path.write_bytes(b'\xef\xbb\xbf\n{"a": 1}\r\n\n{cut\n' + json.dumps({"b": "\u2028"}).encode() + b"\n")
    first, bad, last = RecordFile(path)
    assert (first.number, first.value, last.number, last.value) == (1, {"a": 1}, 3, {"b": "\u2028"})
    assert bad.problem.startswith("record 2 (line 4) is not valid JSON (Expecting property name")


def test_errors_say_where(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    for text, message in (
        ('[{"a": 1},\n {"a" 2}]', r"record 2 is not valid JSON \(Expecting ':' delimiter, line 2, character 18\)"),
        ("[1 2]", r"not valid JSON behind record 1 \('2' stands there, line 1, character 4\); put a comma"),
        ("[1,", r"record 2 is not valid JSON \(Expecting value, line 1, character 4\)"),
        ("[1", "not valid JSON behind record 1 .the file ends"),
        ("[1]\n\n2", "text behind the list, line 3, character 6"),
        ("[" + " " * 2 * CHUNK + "\n?]", f"line 2, character {2 * CHUNK + 3}"),
        ('["' + "x" * (2 * RECORD_LIMIT), "record 1 is longer than 4,000,000 characters, or never closed"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(RecordFileError, match=rf"^facts\.json: .*{message}"):
            values(path)


def test_the_fingerprint_is_that_of_all_bytes(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_bytes(b"[" + b"1000000," * (CHUNK // 4) + b"1] " + b"\n" * CHUNK)
    file = RecordFile(path)
    for _ in range(2):
        assert len(list(file)) == CHUNK // 4 + 1
        assert file.fingerprint == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("lines", [False, True])
def test_memory_does_not_grow_with_the_file(lines: bool, tmp_path: Path) -> None:
    path = tmp_path / "long.json"
    record = json.dumps({"text": "x" * 1000})
    path.write_text((record + "\n") * 4000 if lines else "[" + ", ".join([record] * 4000) + "]", encoding="utf-8")
    tracemalloc.start()
    try:
        count = sum(1 for _ in RecordFile(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 4000
    assert peak < path.stat().st_size / 4
