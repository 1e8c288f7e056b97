# SPDX-License-Identifier: Apache-2.0
"""Texts to measure second moments on, streamed: published corpora from the local cache, or a file. Nothing is
downloaded."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from kedit.statistics.errors import StatisticsError

__all__ = ["PUBLISHED", "Corpus", "open_corpus"]


@dataclass(frozen=True, slots=True)
class _Published:
    """Files of a data set of the Hugging Face Hub, and the library's name for their format."""

    repository: str
    files: tuple[str, ...]
    format: str


PUBLISHED: Mapping[str, _Published] = MappingProxyType(
    {
        "wikitext": _Published(
            "Salesforce/wikitext",
            tuple(f"wikitext-103-raw-v1/train-0000{i}-of-00002.parquet" for i in range(2)),
            "parquet",
        ),
        # One of 1024 files of the English train split: more texts than second moments ever need.
        "c4": _Published("allenai/c4", ("en/c4-train.00000-of-01024.json.gz",), "json"),
    }
)


@dataclass(frozen=True, slots=True)
class Corpus:
    """Texts in a fixed order.

    Attributes:
        name: `wikitext`, `c4`, or the file's name; equal on every machine.
        place: what opens it again here.
        revision: of the data set, or empty.
        texts: a new stream of them, without empty ones.
    """

    name: str
    place: str
    revision: str
    texts: Callable[[], Iterator[str]]


def open_corpus(name: str) -> Corpus:
    """`wikitext`, `c4`, or a file of texts, one a line, `.gz` or not.

    Raises:
        StatisticsError: it is not there, with the command that fetches it, or the library `datasets` is missing.
    """
    if name in PUBLISHED:
        return _published(name, PUBLISHED[name])
    path = Path(name).expanduser()
    if not path.is_file():
        raise StatisticsError(f"{name} is neither {', '.join(PUBLISHED)} nor a file; name a file of texts, one a line")
    return Corpus(path.name, str(path.resolve()), "", lambda: _lines(path))


def _lines(path: Path) -> Iterator[str]:
    opened = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opened(path, "rt", encoding="utf-8") as file:
            for line in file:
                number += 1
                if text := line.strip():
                    yield text
    except (UnicodeDecodeError, EOFError, OSError) as error:
        raise StatisticsError(f"{path}: line {number + 1} cannot be read ({error}); give a text in UTF-8") from error


def _published(name: str, wanted: _Published) -> Corpus:
    try:
        import datasets  # noqa: F401
    except ImportError as error:
        raise StatisticsError(
            f"the corpus {name} needs the library `datasets`: pip install 'kedit[datasets]', or give a file of texts"
        ) from error
    from transformers.utils.hub import cached_file

    fetch = f"hf download {wanted.repository} {' '.join(wanted.files)} --repo-type dataset"
    paths = []
    for file in wanted.files:
        try:
            found = cached_file(wanted.repository, file, repo_type="dataset", local_files_only=True)
        except (OSError, ValueError) as error:
            raise StatisticsError(f"the corpus {name} is not in the local cache; fetch it once: {fetch}") from error
        paths.append(str(found))
    parts = Path(paths[0]).parts
    revision = parts[parts.index("snapshots") + 1] if "snapshots" in parts else ""
    return Corpus(name, name, revision, lambda: _records(name, wanted.format, paths, fetch))


def _records(name: str, form: str, paths: list[str], fetch: str) -> Iterator[str]:
    import datasets

    try:
        for record in datasets.load_dataset(form, data_files=paths, split="train", streaming=True):
            if text := str(record["text"]).strip():
                yield text
    # The library passes on whatever its file systems and parsers raise.
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise StatisticsError(f"the corpus {name} cannot be read ({reason}); fetch it again: {fetch}") from error
