# SPDX-License-Identifier: Apache-2.0
"""Texts of files and of published corpora in the local cache; no network."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kedit.statistics import StatisticsError
from kedit.statistics.corpora import PUBLISHED, open_corpus


@pytest.mark.parametrize("name", ["texts.txt", "texts.txt.gz"])
def test_a_file_has_a_text_a_line(name: str, tmp_path: Path) -> None:
    data = "One text.\n\n  Another, ä.  \nthe last".encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    corpus = open_corpus(str(path))
    assert (corpus.name, corpus.place, corpus.revision) == (name, str(path), "")
    assert list(corpus.texts()) == list(corpus.texts()) == ["One text.", "Another, ä.", "the last"]


def test_a_file_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(b"fine\n" * 100_000 + b"\xff broken\n")
    texts = open_corpus(str(path)).texts()
    assert next(texts) == "fine"
    with pytest.raises(StatisticsError, match=r"texts.txt: line \d+ cannot be read .* UTF-8"):
        list(texts)


def test_what_is_neither_is_refused() -> None:
    with pytest.raises(StatisticsError, match="neither wikitext, c4 nor a file"):
        open_corpus("wikipedia")


def library(monkeypatch: pytest.MonkeyPatch, cache: Path, records: list[Any]) -> list[tuple[Any, ...]]:
    """Stand in for `datasets` and for the local cache; returns the calls."""
    calls: list[tuple[Any, ...]] = []

    def load_dataset(form: str, *, data_files: list[str], split: str, streaming: bool) -> Any:
        calls.append((form, data_files, split, streaming))
        for record in records:
            if isinstance(record, Exception):
                raise record
            yield record

    module = ModuleType("datasets")
    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    in_cache(monkeypatch, cache)
    return calls


def in_cache(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    def cached_file(repository: str, file: str, *, repo_type: str, local_files_only: bool) -> str:
        assert (repo_type, local_files_only) == ("dataset", True)
        path = cache / repository / "snapshots" / "0a1b" / file
        if not path.is_file():
            raise OSError(f"{file} is not in the cache")
        return str(path)

    monkeypatch.setattr("transformers.utils.hub.cached_file", cached_file)


def place(cache: Path, name: str, data: bytes = b"") -> list[str]:
    paths = [cache / PUBLISHED[name].repository / "snapshots" / "0a1b" / file for file in PUBLISHED[name].files]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return [str(path) for path in paths]


def test_a_published_corpus_is_streamed_from_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = library(monkeypatch, tmp_path, [{"text": " = Title = \n"}, {"text": ""}, {"text": "A text ."}])
    paths = place(tmp_path, "wikitext")
    corpus = open_corpus("wikitext")
    assert (corpus.name, corpus.place, corpus.revision) == ("wikitext", "wikitext", "0a1b")
    assert list(corpus.texts()) == ["= Title =", "A text ."]
    assert calls == [("parquet", paths, "train", True)]


def test_the_library_itself_reads_a_file_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    lines = "".join(json.dumps({"text": text, "url": "u"}) + "\n" for text in ("One.", "Two."))
    place(tmp_path, "c4", gzip.compress(lines.encode()))
    in_cache(monkeypatch, tmp_path)
    assert list(open_corpus("c4").texts()) == ["One.", "Two."]


def test_what_is_not_in_the_cache_says_how_to_fetch_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library(monkeypatch, tmp_path, [])
    with pytest.raises(StatisticsError, match=r"c4 is not in the local cache; .* hf download allenai/c4 en/c4-train"):
        open_corpus("c4")


def test_the_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(StatisticsError, match=r"pip install 'kedit\[datasets\]'"):
        open_corpus("wikitext")


def test_a_damaged_corpus_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library(monkeypatch, tmp_path, [{"text": "A text"}, ValueError("bad page")])
    place(tmp_path, "wikitext")
    with pytest.raises(StatisticsError, match=r"wikitext cannot be read \(bad page\); fetch it again: hf download"):
        list(open_corpus("wikitext").texts())
