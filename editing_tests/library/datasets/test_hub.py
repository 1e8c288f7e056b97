# SPDX-License-Identifier: Apache-2.0
"""Data sets of the Hub: what is asked of the library `datasets`, and its real answer to a folder; no network."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from editing_tests.library.datasets import published
from editing_tests.library.datasets.published import written
from kedit.datasets import DatasetError, read_dataset


def library(monkeypatch: pytest.MonkeyPatch, records: list[Any]) -> list[dict[str, Any]]:
    """Stand in for `datasets`; records that are exceptions are raised. Returns the calls."""
    calls: list[dict[str, Any]] = []

    def load_dataset(*given: Any, **named: Any) -> Iterator[Any]:
        calls.append({"given": given, **named})
        for record in records:
            if isinstance(record, Exception):
                raise record
            yield record

    module = ModuleType("datasets")
    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    return calls


def test_records_are_streamed_and_the_choice_is_recorded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    records = [published.zsre(n) for n in range(3)]
    calls = library(monkeypatch, records)
    found = read_dataset("hf:lab/zsre", split="test", revision="abc", subset="small", files="eval*.json")
    assert calls == [
        {
            "given": ("lab/zsre", "small"),
            "split": "test",
            "revision": "abc",
            "data_files": "eval*.json",
            "streaming": True,
        }
    ]
    assert found.source == "hf:lab/zsre"
    assert found.options == {
        "split": "test", "revision": "abc", "subset": "small", "files": "eval*.json", "target": "alt"
    }  # fmt: skip
    assert found.facts() == read_dataset(written(tmp_path, records)).facts()
    other = read_dataset("hf:lab/zsre")
    assert (other.fingerprint, other.options) == (found.fingerprint, {"target": "alt"})
    library(monkeypatch, records[:2])
    assert read_dataset("hf:lab/zsre").fingerprint != found.fingerprint


def test_bad_records_and_broken_connections_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    good = published.zsre(0)
    library(monkeypatch, [good, good | {"alt": 7}])
    with pytest.raises(DatasetError, match=r"^hf:lab/zsre: record 2: field 'alt' is 7; give a text"):
        read_dataset("hf:lab/zsre")
    assert [one.record for one in read_dataset("hf:lab/zsre", skip_bad=True).skipped] == [2]
    library(monkeypatch, [good, ConnectionError("gone")])
    with pytest.raises(DatasetError, match=r"^hf:lab/zsre: record 2: cannot be loaded \(ConnectionError: gone\)"):
        read_dataset("hf:lab/zsre", skip_bad=True)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DatasetError, match=r"^hf:a/b: the library `datasets` is missing; install kedit\[datasets\]"):
        read_dataset("hf:a/b")


def test_a_path_is_never_taken_for_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = library(monkeypatch, [])
    with pytest.raises(DatasetError, match=r"^lab/zsre: cannot be read .*hf:lab/zsre"):
        read_dataset("lab/zsre")
    assert calls == []


def test_the_library_itself_reads_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It fills the fields that a record lacks with null."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    full = published.counterfact(0)
    folder = tmp_path / "data"
    folder.mkdir()
    written(folder, [full, published.multi_counterfact(1)], "train.jsonl")
    found = read_dataset(f"hf:{folder}")
    assert found.facts() == read_dataset(folder / "train.jsonl").facts()
    assert found.format == "counterfact"
    with pytest.raises(DatasetError, match=r"cannot be loaded \(ValueError: .*test.*\); check the id, split, revision"):
        read_dataset(f"hf:{folder}", split="test")
