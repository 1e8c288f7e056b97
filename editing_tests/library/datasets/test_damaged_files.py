# SPDX-License-Identifier: Apache-2.0
"""Damaged files give an error that names the file, and the record and the field where one is damaged; nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from editing_tests.library.datasets.damage import RECORDS, Damage, damaged_files
from editing_tests.library.datasets.published import MAKERS, text_of, written
from kedit.datasets import DatasetError, read_dataset


@pytest.fixture(scope="module")
def files() -> tuple[Damage, ...]:
    return tuple(damaged_files(0))


def path_of(damage: Damage, folder: Path) -> Path:
    path = folder / "damaged.json"
    path.write_bytes(damage.data)
    return path


def refusal(path: Path, format_: str | None = None, *, skip_bad: bool = True) -> str:
    """The message, which names the file, or an empty text if the file was read."""
    try:
        read_dataset(path, format_, skip_bad=skip_bad)
    except DatasetError as error:
        message = str(error)
    else:
        return ""
    assert path.name in message
    return message


def test_there_are_enough_of_all_formats(files: tuple[Damage, ...]) -> None:
    assert len(files) >= 200
    assert len({damage.data for damage in files}) >= 200
    assert {damage.format for damage in files} == set(MAKERS)


def test_each_gives_a_named_error_and_nothing_else(files: tuple[Damage, ...], tmp_path: Path) -> None:
    for damage in files:
        path = path_of(damage, tmp_path)
        for format_ in (None, damage.format):
            with pytest.raises(DatasetError) as caught:  # any other error fails the test
                read_dataset(path, format_)
            message = str(caught.value)
            assert "damaged.json" in message, damage.what
            assert len(message) < 1000 and message.isprintable(), damage.what
            if damage.record:
                assert f"record {damage.record}" in message, (damage.what, message)
                assert damage.field in message, (damage.what, message)


def test_a_damaged_record_can_be_skipped_and_is_listed(files: tuple[Damage, ...], tmp_path: Path) -> None:
    for damage in files:
        path = path_of(damage, tmp_path)
        if not damage.record:
            told = refusal(path, damage.format)
            if not told:  # lines that are not JSON among some that are
                found = read_dataset(path, damage.format, skip_bad=True)
                assert found.skipped and found.records
            continue
        found = read_dataset(path, skip_bad=True)
        (skipped,) = found.skipped
        assert skipped.record == damage.record, damage.what
        assert damage.field in skipped.reason, damage.what
        assert len(found.cases()) == RECORDS - 1


@pytest.mark.parametrize("format_", MAKERS)
def test_bytes_at_random_never_raise_anything_else(format_: str, tmp_path: Path) -> None:
    rng = random.Random(f"bytes of {format_}")
    path = tmp_path / "noise.json"
    whole = [text_of([MAKERS[format_](n) for n in range(2)], lines=lines).encode() for lines in (False, True)]
    refused = 0
    for _ in range(60):
        data = bytearray(rng.choice(whole))
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(bytes(data))
        for skip_bad in (False, True):
            refused += bool(refusal(path, skip_bad=skip_bad))
    assert refused


def test_a_folder_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no.json", tmp_path / "no\x00.json"):
        with pytest.raises(DatasetError, match=r"cannot be read .*; give a JSON or JSON Lines file in UTF-8"):
            read_dataset(path)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"requested_rewrite": {"subject": "Jan"}}, "field 'requested_rewrite.prompt' is missing; add it, as a text"),
        ({"requested_rewrite": []}, "field 'requested_rewrite' is an empty list; give an object"),
        ({"paraphrase_prompts": ["a", 7]}, r"field 'paraphrase_prompts\[1\]' is 7; give a text"),
        ({"neighborhood_prompts": {"a": 1}}, "field 'neighborhood_prompts' is an object of 1 fields; give a list of"),
        ({"case_id": 1.5}, "field 'case_id' is 1.5; give an integer or a text"),
        ({"case_id": 10**30}, "field 'case_id' is an integer of 100 bits; give one of up to 64"),
        ({"paraphrase_prompts": ["x" * 100_001]}, r"field 'paraphrase_prompts\[0\]' has 100,001 characters; give at"),
    ],
)
def test_messages_say_what_was_expected(record: dict[str, object], message: str, tmp_path: Path) -> None:
    good = MAKERS["counterfact"](0)
    path = written(tmp_path, [good, good | record])
    with pytest.raises(DatasetError, match=rf"^facts\.json: record 2: {message}"):
        read_dataset(path)


def test_targets_that_change_nothing_and_prompts_without_their_subject(tmp_path: Path) -> None:
    good = MAKERS["zsre"](0)
    for change, message in (
        ({"alt": "Peru"}, "field 'target' equals the true object 'Peru'"),
        ({"subject": "Nobody"}, "field 'src': subject 'Nobody' is not in the prompt 'Which country is Mira"),
    ):
        with pytest.raises(DatasetError, match=rf"facts\.json: record 1: .*{message}"):
            read_dataset(written(tmp_path, [good | change]))


def test_a_file_without_one_good_record_says_what_the_first_lacks(tmp_path: Path) -> None:
    path = written(tmp_path, [{"a": 1}, 7])
    with pytest.raises(DatasetError, match=r"facts\.json: there are no facts in it; .* record 1: it has 'a', "):
        read_dataset(path, skip_bad=True)
