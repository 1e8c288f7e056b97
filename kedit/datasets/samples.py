# SPDX-License-Identifier: Apache-2.0
"""A sample that is written down: what was drawn from which facts, and the same draw once more."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from kedit.datasets.errors import DatasetError
from kedit.datasets.sampling import Sampler
from kedit.facts import Fact
from kedit.files import write_atomically

__all__ = ["Drawn", "Sample", "SampleError", "fingerprint"]

Kind = Literal["distinct", "same_subject", "density", "rounds", "homogeneous"]
_FORMAT = 1


class SampleError(DatasetError):
    """A sample that cannot be read, or that is not what the facts at hand give."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """How a sample names one fact."""

    id: str
    prompt: str
    target: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One draw of a `Sampler`.

    Attributes:
        kind: the method of `Sampler`.
        arguments: what it was given, without the seed.
        seed: the seed.
        source: fingerprint of the facts it was drawn from.
        sequences: what was drawn: one list of facts, or several (`rounds`, `homogeneous`).
    """

    kind: Kind
    arguments: Mapping[str, int]
    seed: int
    source: str
    sequences: tuple[tuple[Drawn, ...], ...]

    @classmethod
    def draw(cls, sampler: Sampler, kind: Kind, seed: int, **arguments: int) -> Sample:
        """Draw once and note it, such as `Sample.draw(sampler, "density", 0, total=36, per_subject=2)`.

        Raises:
            SampleError: there is no such kind, or it takes other arguments.
            DatasetError: the facts do not suffice.
        """
        sequences = _draw(sampler, kind, seed, arguments)
        return cls(kind, MappingProxyType(dict(arguments)), seed, fingerprint(sampler), _names(sequences))

    def replay(self, sampler: Sampler) -> list[list[Fact]]:
        """The facts of this sample, drawn again.

        Raises:
            SampleError: `sampler` has other facts, or draws other ones.
        """
        if fingerprint(sampler) != self.source:
            raise SampleError(
                f"sample {self.kind!r}, seed {self.seed}: field 'source' is {self.source}, the facts at hand are "
                f"{fingerprint(sampler)}; give the facts it was drawn from, or draw a new sample"
            )
        sequences = _draw(sampler, self.kind, self.seed, self.arguments)
        if _names(sequences) != self.sequences:
            raise SampleError(
                f"sample {self.kind!r}, seed {self.seed}: field 'sequences' differs from what its arguments draw now; "
                "replay it with the version of kedit that wrote it, or draw a new sample"
            )
        return sequences

    def save(self, path: str | Path) -> None:
        """Write the sample as JSON; a kill leaves the old file or the new."""
        data = {
            "format": _FORMAT,
            "kind": self.kind,
            "arguments": dict(self.arguments),
            "seed": self.seed,
            "source": self.source,
            "sequences": [[asdict(drawn) for drawn in sequence] for sequence in self.sequences],
        }
        text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
        write_atomically(Path(path), lambda part: part.write_text(text, encoding="utf-8"))

    @classmethod
    def load(cls, path: str | Path) -> Sample:
        """The sample that `save` wrote; raises SampleError naming the file and the field."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise SampleError(f"{path}: not a readable JSON file ({error}); draw the sample again") from error
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            raise SampleError(f"{path}: field 'format' is not {_FORMAT}; give a file that Sample.save wrote")
        for name, fits in _FIELDS.items():
            if not fits(data.get(name)):
                raise SampleError(f"{path}: field {name!r} is missing or wrong; draw the sample again")
        return cls(
            kind=data["kind"],
            arguments=MappingProxyType(data["arguments"]),
            seed=data["seed"],
            source=data["source"],
            sequences=tuple(tuple(Drawn(**row) for row in sequence) for sequence in data["sequences"]),
        )


def fingerprint(sampler: Sampler) -> str:
    """A digest of all facts and their order, with prompts and objects of every kind, and of the dense subjects."""
    digest = hashlib.sha256(json.dumps(sampler.dense).encode())
    for subject, facts in sampler.groups.items():
        digest.update(json.dumps([subject, [asdict(fact) for fact in facts]]).encode())
    return digest.hexdigest()[:32]


def _draw(sampler: Sampler, kind: Kind, seed: int, arguments: Mapping[str, int]) -> list[list[Fact]]:
    if kind not in get_args(Kind):
        raise SampleError(f"sample: field 'kind' is {kind!r}; take one of {', '.join(get_args(Kind))}")
    try:
        drawn: Sequence[Any] = getattr(sampler, kind)(**arguments, seed=seed)
    except TypeError as error:
        raise SampleError(f"sample {kind!r}: field 'arguments': {error}; give what Sampler.{kind} takes") from error
    return [list(sequence) for sequence in drawn] if kind in ("rounds", "homogeneous") else [list(drawn)]


def _names(sequences: Sequence[Sequence[Fact]]) -> tuple[tuple[Drawn, ...], ...]:
    return tuple(tuple(Drawn(f.id, f.prompt.text, f.target) for f in facts) for facts in sequences)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_drawn(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and set(row) == {"id", "prompt", "target"}
        and all(isinstance(text, str) for text in row.values())
    )


_FIELDS: Mapping[str, Callable[[Any], bool]] = MappingProxyType(
    {
        "kind": lambda value: value in get_args(Kind),
        "arguments": lambda value: isinstance(value, dict) and all(map(_is_count, value.values())),
        "seed": _is_count,
        "source": lambda value: isinstance(value, str),
        "sequences": lambda value: (
            isinstance(value, list)
            and all(isinstance(sequence, list) and all(map(_is_drawn, sequence)) for sequence in value)
        ),
    }
)
