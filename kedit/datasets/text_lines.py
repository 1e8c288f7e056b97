# SPDX-License-Identifier: Apache-2.0
"""Lines of a large UTF-8 file, one at a time, with errors that name the line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kedit.datasets.errors import DatasetError

__all__ = ["LINE_LIMIT", "text_lines"]

LINE_LIMIT = 1_000_000
"""Bytes of the longest line that is read."""


def text_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of every line that is not blank, without its end.

    Raises:
        DatasetError: the file cannot be read, or a line is not UTF-8 or too long.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            number = 0
            while line := stream.readline(LINE_LIMIT + 1):
                number += 1
                if len(line) > LINE_LIMIT:
                    raise DatasetError(f"{file.name}: line {number} is longer than {LINE_LIMIT:,} bytes; cut it up")
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    raise DatasetError(
                        f"{file.name}: line {number} is not UTF-8 ({error}); encode the file anew"
                    ) from error
                if text.strip():
                    yield number, text
    except (OSError, ValueError) as error:  # a name with a null byte is a ValueError
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{file}: cannot be read ({error}); give a text file in UTF-8") from error
