# SPDX-License-Identifier: Apache-2.0
"""Records of a data set of the Hugging Face Hub, streamed by the library `datasets`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

from kedit.datasets.errors import DatasetError
from kedit.record_files import Item

__all__ = ["HUB", "HUB_OPTIONS", "HubRecords"]

HUB = "hf:"
HUB_OPTIONS = ("split", "revision", "subset", "files")


class HubRecords:
    """The records of one split, in its order.

    `datasets` gives every record all the fields that any of them has, null where it lacks them; null counts as left
    out.

    Args:
        name: `hf:` and the id, such as `hf:owner/name`.
        options: `split` (`train` if left out), `revision` (the newest), `subset` (the only one or the default one) and
            `files` (a path or pattern in the repository; all data files).
    """

    def __init__(self, name: str, options: Mapping[str, str]) -> None:
        self.name = name
        self.options = options
        self._digest = hashlib.sha256()

    @property
    def fingerprint(self) -> str:
        """sha256 of the records as JSON Lines with sorted fields, once all were taken."""
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[Item]:
        """Raises DatasetError where the library is missing or cannot go on."""
        try:
            import datasets
        except ImportError as error:
            raise DatasetError(f"{self.name}: the library `datasets` is missing; install kedit[datasets]") from error
        self._digest = hashlib.sha256()
        options = self.options
        try:
            stream = datasets.load_dataset(
                self.name.removeprefix(HUB),
                options.get("subset"),
                split=options.get("split", "train"),
                revision=options.get("revision"),
                data_files=options.get("files"),
                streaming=True,
            )
            records = iter(stream)
        # The library passes on whatever its file systems and parsers raise.
        except Exception as error:
            raise self._failed(error) from error
        number = 0
        while True:
            try:
                record = next(records, None)
            except Exception as error:
                raise self._failed(error, number + 1) from error
            if record is None:
                return
            number += 1
            self._digest.update(json.dumps(record, sort_keys=True, default=str).encode() + b"\n")
            yield Item(number, record)

    def _failed(self, error: Exception, number: int = 0) -> DatasetError:
        where = f"{self.name}: record {number}" if number else self.name
        reason = " ".join(str(error).split())[:300]
        return DatasetError(
            f"{where}: cannot be loaded ({type(error).__name__}: {reason}); check the id, {', '.join(HUB_OPTIONS)} and "
            "the network, or download the file and name it"
        )
