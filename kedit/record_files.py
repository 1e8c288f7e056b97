# SPDX-License-Identifier: Apache-2.0
"""Files of records, a JSON list or JSON Lines in UTF-8, read one record at a time in bounded memory."""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["RECORD_LIMIT", "Item", "RecordFile", "RecordFileError"]

RECORD_LIMIT = 4_000_000
"""Characters of the longest record that is read."""
_CHUNK = 1 << 16  # bytes
_EDGE = 16  # no word or escape of JSON is longer, so what is wrong further from the end stays wrong
_BLANKS = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class RecordFileError(ValueError):
    """A file that cannot be read to its end; the message names the file, the place and the mend."""


@dataclass(frozen=True, slots=True)
class Item:
    """One record as it stands in the file.

    Attributes:
        number: from 1; in JSON Lines the number of the record, not of the line.
        value: what the JSON says.
        problem: a sentence without the file's name, where a line of JSON Lines is not valid JSON; `value` is None then.
    """

    number: int
    value: Any
    problem: str = ""


class RecordFile:
    """The records of a file, in its order.

    A byte order mark of UTF-8 is passed over; of a field that an object has twice the last one counts.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._digest = hashlib.sha256()

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self.path.name

    @property
    def fingerprint(self) -> str:
        """sha256 of the bytes, once all records were taken."""
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[Item]:
        """Raises RecordFileError where the file, or the JSON of a list, cannot be read on."""
        self._digest = hashlib.sha256()
        try:
            with self.path.open("rb") as file:
                window = _Window(file, self._digest)
                yield from self._of_list(window) if window.peek() == "[" else self._of_lines(window)
        except UnicodeDecodeError as error:
            raise RecordFileError(
                f"{self.path}: cannot be read ({error.reason} in {error.encoding}); give a JSON or JSON Lines file in "
                "UTF-8"
            ) from error
        except (OSError, ValueError) as error:
            if isinstance(error, RecordFileError):
                raise
            raise RecordFileError(
                f"{self.path}: cannot be read ({error}); give a JSON or JSON Lines file in UTF-8"
            ) from error

    def _of_list(self, window: _Window) -> Iterator[Item]:
        window.at += 1
        number = 0
        sign = window.peek()
        while sign != "]":
            number += 1
            yield Item(number, self._value(window, number))
            sign = window.peek()
            if sign not in (",", "]"):
                found = f"{sign!r} stands there" if sign else "the file ends"
                raise RecordFileError(
                    f"{self.name}: not valid JSON behind record {number} ({found}, {window.place(window.at)}); put a "
                    "comma between records and close the list"
                )
            if sign == ",":
                window.at += 1
                window.peek()
        window.at += 1
        if window.peek():
            raise RecordFileError(
                f"{self.name}: not valid JSON (there is text behind the list, {window.place(window.at)}); give one list"
            )

    def _value(self, window: _Window, number: int) -> Any:
        """The value at the window's place, which is widened until the value ends inside it."""
        while True:
            try:
                value, end = _DECODER.raw_decode(window.text, window.at)
            except (ValueError, RecursionError) as error:
                if not window.may_be_cut(error):
                    place = window.place(error.pos if isinstance(error, json.JSONDecodeError) else window.at)
                    raise RecordFileError(
                        f"{self.name}: record {number} is not valid JSON ({_reason(error)}, {place}); mend it there"
                    ) from error
                self._widen(window, number)
                continue
            # What looks like a number's end may be its middle, where the window cuts it behind a point or an `e`.
            if end <= len(window.text) - _EDGE or window.ended:
                self._refuse_long(end - window.at, number)
                window.at = end
                return value
            self._widen(window, number)

    def _of_lines(self, window: _Window) -> Iterator[Item]:
        number, line = 0, window.lines + window.text.count("\n", 0, window.at)
        while True:
            end = window.text.find("\n", window.at)
            while end < 0 and not window.ended:
                self._widen(window, number + 1)
                end = window.text.find("\n", window.at)
            line += 1
            content = window.text[window.at : end if end >= 0 else len(window.text)]
            if content.strip():
                number += 1
                self._refuse_long(len(content), number)
                yield _of_line(content, number, line)
            if end < 0:
                return
            window.at = end + 1

    def _widen(self, window: _Window, number: int) -> None:
        self._refuse_long(len(window.text) - window.at, number)
        window.widen()

    def _refuse_long(self, length: int, number: int) -> None:
        if length > RECORD_LIMIT:
            raise RecordFileError(
                f"{self.name}: record {number} is longer than {RECORD_LIMIT:,} characters, or never closed; shorten or "
                "close it"
            )


def _of_line(content: str, number: int, line: int) -> Item:
    try:
        return Item(number, json.loads(content))
    except (ValueError, RecursionError) as error:
        return Item(
            number,
            None,
            f"record {number} (line {line}) is not valid JSON ({_reason(error)}); give one object a line, or a list",
        )


def _reason(error: ValueError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return error.msg if isinstance(error, json.JSONDecodeError) else "a number with too many digits"


class _Window:
    """The stretch of a file that is being looked at: `text`, and the place `at` in it."""

    def __init__(self, file: IO[bytes], digest: _Hash) -> None:
        self.text = ""
        self.at = 0
        self.ended = False
        self.lines = 0  # before `text`
        self._before = 0  # characters before `text`
        self._file = file
        self._digest = digest
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()

    def widen(self) -> None:
        """Read at least as much again as is being looked at, and let go of what lies before `at`."""
        data = self._file.read(max(_CHUNK, len(self.text) - self.at))
        self._digest.update(data)
        self.ended = not data
        self._before += self.at
        self.lines += self.text.count("\n", 0, self.at)
        self.text = self.text[self.at :] + self._decoder.decode(data, final=self.ended)
        self.at = 0

    def peek(self) -> str:
        """Go to the next sign that is not blank and return it, or an empty text where the file ends."""
        while True:
            blanks = _BLANKS.match(self.text, self.at)
            self.at = blanks.end() if blanks else self.at
            if self.at < len(self.text) or self.ended:
                return self.text[self.at : self.at + 1]
            self.widen()

    def place(self, at: int) -> str:
        """How messages name a place in `text`."""
        return f"line {self.lines + self.text.count(chr(10), 0, at) + 1}, character {self._before + at + 1}"

    def may_be_cut(self, error: ValueError | RecursionError) -> bool:
        """Whether the value may be valid if more of the file is read."""
        if self.ended or not isinstance(error, json.JSONDecodeError):
            return False
        return error.msg.startswith("Unterminated string") or error.pos >= len(self.text) - _EDGE
