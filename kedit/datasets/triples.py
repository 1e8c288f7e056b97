# SPDX-License-Identifier: Apache-2.0
"""Triples from files of YAGO or Wikidata, one line at a time.

Three forms of lines are read:

    <subject> <tab> <relation> <tab> <object>
    <id> <tab> <subject> <tab> <relation> <tab> <object> [<tab> number]      YAGO 3
    <http://...> <http://...> <http://...> .                                 N-Triples, such as Wikidata's

Names may stand in angle brackets; a literal stands in quotation marks, with its type or language behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kedit.datasets.errors import DatasetError
from kedit.datasets.text_lines import text_lines

__all__ = ["Label", "Triple", "clean", "integer", "local_name", "read_labels", "read_triples", "year"]

_LITERAL = re.compile(r'"(?P<text>(?:[^"\\]|\\.)*)"(?:\^\^\S+|@[\w-]+)?')
_N_TRIPLE = re.compile(rf"(<[^>]*>)\s+(<[^>]*>)\s+(<[^>]*>|{_LITERAL.pattern.replace('?P<text>', '?:')})\s*\.?")
_NUMBER = re.compile(r"[+-]?\d{1,18}(?:\.\d{1,18})?(?:[eE][+-]?\d{1,2})?")
_YEAR = re.compile(r"([+-]?)0*(\d+)(?=$|-)")
_QUALIFIER = re.compile(r"\s*\([^()]*\)$")
_LANGUAGE = re.compile(r"^[a-z]{2,3}/")
_BRACKETS = re.compile(r"[<>\[\]{}()\"]")
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Triple:
    """One line: its number, subject and relation by their local names, and the object as it stands."""

    line: int
    subject: str
    relation: str
    object: str


@dataclass(frozen=True, slots=True)
class Label:
    """What an entity is called, and what it is."""

    name: str
    description: str = ""


def read_triples(path: str | Path) -> Iterator[Triple]:
    """The triples of a file, in its order and in bounded memory; lines that start with `#` or `@` are comments.

    Raises:
        DatasetError: the file cannot be read, or a line is no triple; names the line.
    """
    for number, line in text_lines(path):
        if line.lstrip().startswith(("#", "@")):
            continue
        terms = _terms(line)
        if terms is None:
            raise DatasetError(
                f"{Path(path).name}: line {number} is no triple: {line[:80]!r}; give subject, relation and object with "
                "tabs between (YAGO 3: the id first), or N-Triples"
            )
        subject, relation, value = terms
        yield Triple(number, local_name(subject), local_name(relation), value)


def _terms(line: str) -> tuple[str, str, str] | None:
    if "\t" in line:
        columns = [column.strip() for column in line.split("\t")]
        if columns[-1] == ".":
            columns.pop()
        terms = columns[1:4] if len(columns) in (4, 5) else columns
        if len(terms) != 3:
            return None
        terms[2] = terms[2].removesuffix(" .")
        return (terms[0], terms[1], terms[2]) if all(terms) else None
    match = _N_TRIPLE.fullmatch(line.strip())
    return (match[1], match[2], match[3]) if match else None


def read_labels(path: str | Path) -> Mapping[str, Label]:
    """Names of entities from lines `id <tab> name [<tab> description]`; the id may be a whole address in brackets.

    Raises:
        DatasetError: the file cannot be read, or a line has not two or three columns; names the line.
    """
    labels = {}
    for number, line in text_lines(path):
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) not in (2, 3) or not all(columns[:2]):
            raise DatasetError(
                f"{Path(path).name}: line {number} has {len(columns)} columns; give id, name and, if there is one, a "
                "description, with tabs between"
            )
        labels[local_name(columns[0])] = Label(columns[1], columns[2] if len(columns) == 3 else "")
    return labels


def local_name(term: str) -> str:
    """A name without brackets, and of an address its last part."""
    name = term.strip()
    if name.startswith("<") and name.endswith(">"):
        name = name[1:-1]
    return re.split(r"[/#]", name)[-1] if name.startswith(("http://", "https://")) else name


def clean(text: str) -> str:
    """A name for prompts: blanks for underscores, no language mark, no brackets, no qualifier such as `(planet)`."""
    plain = _LANGUAGE.sub("", local_name(_plain(text))).replace("_", " ")
    plain = _QUALIFIER.sub("", plain) or plain
    return " ".join(_BRACKETS.sub("", plain).split())


def integer(text: str) -> str:
    """A number as an integer, rounded if it has decimals (S2RKE stores integers); empty if it is none,
    or beyond all measure."""
    plain = _plain(text)
    if not _NUMBER.fullmatch(plain):
        return ""
    return str(int(plain)) if plain.lstrip("+-").isdigit() else str(round(float(plain)))


def year(text: str) -> str:
    """The year of a date, without zeros in front; empty if the date has none, or not all its digits."""
    match = _YEAR.match(_plain(text))
    return f"{'-' if match[1] == '-' else ''}{match[2]}" if match else ""


def _plain(text: str) -> str:
    """The text of a literal without quotation marks, type and language; other texts as they are."""
    match = _LITERAL.fullmatch(text)
    return _ESCAPED.sub(r"\1", match["text"]) if match else text
