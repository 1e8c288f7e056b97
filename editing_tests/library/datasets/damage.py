# SPDX-License-Identifier: Apache-2.0
"""Files that are damaged in every way we could think of, from a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from editing_tests.library.datasets.published import MAKERS, text_of

RECORDS = 4
DEEP = 100_000
TOO_LONG = "x" * 100_001
HALF = "half \ud83d"

Path = tuple[str | int, ...]

TEXTS: dict[str, tuple[Path, ...]] = {
    "s2rke": (
        ("class",),
        ("subject", "name"),
        ("Star_Topology", 1, "requested_rewrite", "prompt"),
        ("Star_Topology", 2, "requested_rewrite", "relation"),
        ("Star_Topology", 0, "requested_rewrite", "target_true"),
        ("Star_Topology", 2, "requested_rewrite", "target_new"),
    ),
    "counterfact": (
        ("requested_rewrite", "prompt"),
        ("requested_rewrite", "subject"),
        ("requested_rewrite", "target_new", "str"),
        ("requested_rewrite", "target_true", "str"),
    ),
    "mquake": (
        ("requested_rewrite", 0, "prompt"),
        ("requested_rewrite", 1, "subject"),
        ("requested_rewrite", 1, "target_new", "str"),
        ("requested_rewrite", 0, "target_true", "str"),
        ("new_answer",),
    ),
    "zsre": (("src",), ("subject",), ("alt",), ("portability", "New Question")),
    "knowedit": (("prompt",), ("subject",), ("target_new",), ("portability", "Reasoning", 0, "prompt")),
    "kedit": (("prompt",), ("subject",), ("target",), ("true",)),
}
LISTS: dict[str, tuple[Path, ...]] = {
    "s2rke": (("Star_Topology", 0, "paraphrase_prompts"), ("Star_Topology", 2, "neighborhood_prompts")),
    "counterfact": (("paraphrase_prompts",), ("neighborhood_prompts",)),
    "mquake": (("questions",), ("requested_rewrite", 1, "question")),
    "zsre": (("rephrase",),),
    "knowedit": (("rephrase_prompt",), ("locality", "Forgetfulness", "prompt")),
    "kedit": (("paraphrases",), ("neighborhood",)),
}
OBJECTS: dict[str, tuple[Path, ...]] = {
    "s2rke": (("subject",), ("Star_Topology",), ("Star_Topology", 1, "requested_rewrite")),
    "counterfact": (("requested_rewrite",), ("requested_rewrite", "target_new")),
    "mquake": (("requested_rewrite",), ("requested_rewrite", 0, "target_true")),
    "zsre": (("portability",),),
    "knowedit": (("locality",), ("portability",), ("locality", "Relation_Specificity")),
    "kedit": (),
}
ANSWERS: dict[str, tuple[Path, ...]] = {
    "zsre": (("answers",), ("loc_ans",), ("portability", "New Answer")),
    "knowedit": (("ground_truth",), ("locality", "Relation_Specificity", 0, "ground_truth")),
}
NO_TEXTS: tuple[Any, ...] = (None, 7, 1.5, float("nan"), True, [], {}, "", " \n", HALF, TOO_LONG, 10**300)
NO_LISTS: tuple[Any, ...] = (7, True, {}, [7], [None], ["good", ""], [HALF], [["nested"]], [TOO_LONG], float("inf"))
NO_OBJECTS: tuple[Any, ...] = (7, "text", [7], [None], False)
NO_ANSWERS: tuple[Any, ...] = (None, 7, [], {}, [[]], [None], [[[]]], "", [HALF])


@dataclass(frozen=True)
class Damage:
    """A damaged file.

    Attributes:
        what: what is wrong with it.
        format: of its good records.
        data: its bytes.
        record: number of the record that is damaged, if one is and the others can be told from it.
        field: a word that the message must hold then.
    """

    what: str
    format: str
    data: bytes
    record: int = 0
    field: str = ""


def damaged_files(seed: int) -> Iterator[Damage]:
    """All of them; equal seeds give equal files."""
    rng = random.Random(f"damaged files {seed}")
    for format_ in MAKERS:
        yield from _fields(format_, rng)
        yield from _cuts(format_, rng)
        yield from _encodings(format_, rng)
    yield from _no_records()
    yield from _huge()


def _good(format_: str) -> list[dict[str, Any]]:
    return [MAKERS[format_](n) for n in range(RECORDS)]


def _fields(format_: str, rng: random.Random) -> Iterator[Damage]:
    kinds: Sequence[tuple[Sequence[Path], Sequence[Any]]] = (
        (TEXTS[format_], NO_TEXTS),
        (LISTS[format_], NO_LISTS),
        (OBJECTS[format_], NO_OBJECTS),
        (ANSWERS.get(format_, ()), NO_ANSWERS),
    )
    for paths, values in kinds:
        for path in paths:
            for value in rng.sample(values, 4):
                yield _with(format_, rng, path, value)
    # Left out, and a whole record of another type. Later records only: the first one tells the format.
    for path in (*TEXTS[format_], *ANSWERS.get(format_, ())):
        yield _with(format_, rng, path, None, left_out=True)
    for value in (7, None, "text", ["nested"], [], True):
        number = rng.randrange(1, RECORDS)
        records: list[Any] = _good(format_)
        records[number] = value
        text = text_of(records, lines=rng.random() < 0.5)
        yield Damage(f"record is {value!r}", format_, text.encode(), number + 1)


def _with(format_: str, rng: random.Random, path: Path, value: Any, *, left_out: bool = False) -> Damage:
    number = rng.randrange(1, RECORDS)
    records = deepcopy(_good(format_))
    place: Any = records[number]
    for step in path[:-1]:
        place = place[step]
    if left_out:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    # Escaped: UTF-8 has no half characters, JSON does.
    text = "\n".join(map(json.dumps, records)) if rng.random() < 0.5 else json.dumps(records)
    what = "left out" if left_out else str(value)[:20]
    return Damage(f"{'.'.join(map(str, path))}: {what}", format_, text.encode(), number + 1, str(path[-1]))


def _cuts(format_: str, rng: random.Random) -> Iterator[Damage]:
    whole = text_of(_good(format_)).encode()
    for _ in range(6):
        yield Damage("cut list", format_, whole[: rng.randrange(1, len(whole) - 1)])
    first = len(text_of(_good(format_)[:1], lines=True).encode())
    for _ in range(3):
        # Somewhere inside the first line, whose record is then the only one.
        lines = text_of(_good(format_), lines=True).encode()
        yield Damage("cut line", format_, lines[: rng.randrange(1, first - 2)])
    yield Damage("text behind the list", format_, whole + b" {}")
    yield Damage("no comma", format_, whole.replace(b"},\n {", b"}\n {", 1))


def _encodings(format_: str, rng: random.Random) -> Iterator[Damage]:
    text = text_of(_good(format_))
    for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        yield Damage(name, format_, text.encode(name))
    yield Damage("latin-1", format_, text.encode("latin-1", "replace"))
    whole = text.encode()
    for byte in (b"\xff", b"\xc3\x28", b"\xed\xa0\x80"):
        place = rng.randrange(len(whole))
        yield Damage(f"bytes {byte!r}", format_, whole[:place] + byte + whole[place:])


def _no_records() -> Iterator[Damage]:
    texts = ("", " \n\t\n", "[]", "[ ]\n", "{}", "[[]]", "\ufeff", "[", "]", "{", "[,]")
    others = ("null", "7", '"text"', "NaN", "[null]", '{"records": []}', "a,b\nAda,Spain", "<html>", "\x00" * 99)
    for text in (*texts, *others):
        yield Damage(f"no records: {text[:12]!r}", "s2rke", text.encode())
    yield Damage("compressed", "s2rke", b"\x1f\x8b\x08\x00" + bytes(range(256)))
    record = json.dumps({"data": [MAKERS["s2rke"](0)]}, indent=1)
    yield Damage("an object around the list", "s2rke", record.encode())


def _huge() -> Iterator[Damage]:
    good = text_of([MAKERS["counterfact"](0)])[1:-1].strip()
    values = {
        "levels": "[" * DEEP,
        "closed levels": "[" * DEEP + "]" * DEEP,
        "objects": '{"a":' * DEEP,
        "digits": "1" * 10_000,
        "unclosed text": '"' + "x" * 5_000_000,
        "long text": '"' + "x" * 5_000_000 + '"',
        "long list": "[" + "1," * 2_500_000 + "1]",
    }
    for what, value in values.items():
        yield Damage(f"huge: {what} in a list", "counterfact", f'[{good}, {{"case_id": {value}}}]'.encode())
        line = json.dumps(json.loads(good))
        yield Damage(f"huge: {what} in a line", "counterfact", f'{line}\n{{"case_id": {value}}}\n'.encode())
