# SPDX-License-Identifier: Apache-2.0
"""Reads a data set: every record of a file, or none and the reason."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kedit.datasets.common_knowledge import COMMON_KNOWLEDGE, common_knowledge_dataset
from kedit.datasets.errors import DatasetError
from kedit.datasets.fields import Node, shown
from kedit.datasets.formats import FORMATS, recognised
from kedit.datasets.hub import HUB, HUB_OPTIONS, HubRecords
from kedit.datasets.records import Dataset, Record, Skipped
from kedit.datasets.sampling import group
from kedit.facts import Fact, FactError
from kedit.record_files import RecordFile, RecordFileError

__all__ = ["read_dataset", "read_groups"]

_REASON = 600  # characters of a message; texts of records are in it


def read_dataset(source: str | Path, format: str | None = None, *, skip_bad: bool = False, **options: str) -> Dataset:  # noqa: A002
    """Read facts in one of the published formats.

    A record that cannot be used names itself and nothing is returned; with `skip_bad` it is left out and listed. Damage
    behind which records cannot be told apart, such as a list that was cut, is an error all the same.

    Args:
        source: a JSON list or JSON Lines in UTF-8, `hf:` and the id of a data set of the Hugging Face Hub, or
            `common-knowledge` for the built-in facts (a file of this name is `./common-knowledge`).
        format: name in `FORMATS`; told by the fields of the first record if left out.
        skip_bad: leave bad records out.
        options: those of the format, and of `hf:` sources `split`, `revision`, `subset`, `files`.

    Raises:
        DatasetError: names the file, the record, the field and what was expected.
    """
    if source == COMMON_KNOWLEDGE:
        return _built_in(format, options)
    from_hub = isinstance(source, str) and source.startswith(HUB)
    if format is not None and format not in FORMATS:
        raise DatasetError(f"format {format!r} is not known; formats are {', '.join(FORMATS)}")
    place = {name: options.pop(name) for name in HUB_OPTIONS if from_hub and name in options}
    items = HubRecords(str(source), place) if from_hub else RecordFile(source)
    chosen = None if format is None else _options(format, options)
    records: list[Record] = []
    skipped: list[Skipped] = []
    number = 0
    try:
        for item in items:
            number = item.number
            try:
                if item.problem:
                    raise DatasetError(item.problem)
                if format is None:
                    format = recognised(item.value)  # noqa: A001
                if chosen is None:
                    chosen = _options(format, options)
                records += _read(format, item.value, number, chosen)
            except (DatasetError, FactError) as error:
                reason = _short(str(error))
                if not skip_bad:
                    where = items.name if item.problem else f"{items.name}: record {number}"
                    raise DatasetError(f"{where}: {reason}") from error
                skipped.append(Skipped(number, reason))
    except RecordFileError as error:
        hint = f"; a data set of the Hugging Face Hub is written {HUB}{source}" if _may_be_id(source) else ""
        raise DatasetError(_short(f"{error}{hint}")) from error
    if not records or format is None or chosen is None:
        first = f", the first left out is record {skipped[0].record}: {skipped[0].reason}" if skipped else ""
        raise DatasetError(f"{items.name}: there are no facts in it; give at least one good record{first}")
    kept = MappingProxyType({**place, **chosen})
    return Dataset(tuple(records), format, items.name, items.fingerprint, kept, tuple(skipped))


def read_groups(
    source: str | Path,
    format: str | None = None,  # noqa: A002
    *,
    skip_bad: bool = False,
    **options: str,
) -> Mapping[str, tuple[Fact, ...]]:
    """The facts of each subject of a data set, ready to be drawn from by `kedit.datasets.sampling.Sampler`.

    Left out is a fact whose prompt an earlier one has: no batch can hold both. The arguments are those of
    `read_dataset`.

    Raises:
        DatasetError: as `read_dataset` does.
    """
    groups, _ = group(read_dataset(source, format, skip_bad=skip_bad, **options).facts())
    return MappingProxyType({subject: tuple(facts) for subject, facts in groups.items()})


def _built_in(format: str | None, options: Mapping[str, str]) -> Dataset:  # noqa: A002
    dataset = common_knowledge_dataset()
    if format not in (None, dataset.format):
        raise DatasetError(f"format {format!r} is not that of {COMMON_KNOWLEDGE}; leave it out")
    _options(dataset.format, options)
    return dataset


def _may_be_id(source: str | Path) -> bool:
    """Whether somebody may have meant an id of the Hub; never taken for one unasked, for a path may be mistyped."""
    return str(source).count("/") == 1 and not Path(source).exists() and not Path(source).suffix


def _options(format: str, given: Mapping[str, str]) -> Mapping[str, str]:  # noqa: A002
    """What is chosen of each option of a format."""
    known = FORMATS[format].options
    for name, value in given.items():
        if name not in known:
            told = f"its options are {', '.join(known)}" if known else "it has none"
            raise DatasetError(f"option {name!r} is not known for the format {format}; {told}")
        if value not in known[name]:
            raise DatasetError(f"option {name!r} is {value!r}; give one of {', '.join(known[name])}")
    return {name: given.get(name, values[0]) for name, values in known.items()}


def _read(format: str, value: Any, number: int, options: Mapping[str, str]) -> list[Record]:  # noqa: A002
    if not isinstance(value, Mapping):
        raise DatasetError(f"it is {shown(value)}; give an object with the fields of {format}")
    return FORMATS[format].read(Node(value), number, options)


def _short(message: str) -> str:
    """One line that keeps the end, where the mend stands."""
    line = " ".join(message.encode("utf-8", "backslashreplace").decode().split())
    return line if len(line) <= _REASON else f"{line[: _REASON // 2]} ... {line[-_REASON // 2 :]}"
