# SPDX-License-Identifier: Apache-2.0
"""Seconds and memory that invented S2RKE records take to load.

`python benchmarks/dataset_loading.py [--records 20000]`
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kedit.datasets import read_dataset
from kedit.worlds.world import World


def invented(n: int, seed: int) -> Iterator[dict[str, Any]]:
    """`n` records of the world's, each about a subject of its own; one in eight has many facts, as in S2RKE."""
    rng = random.Random(f"benchmark of data sets {seed}")
    world = World.generate(0)
    famous = {subject.name for subject in world.celebrities}
    groups: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for record in world.records():
        groups[record["subject"]["name"] in famous].append(record)
    for number in range(n):
        record = rng.choice(groups[rng.random() < 1 / 8])
        name = record["subject"]["name"]
        own: dict[str, Any] = json.loads(json.dumps(record).replace(name, f"{name} {number}"))
        yield own | {"subjectID": number}


def main() -> None:
    """Write a file, load it, print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    n = parser.parse_args().records
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s2rke.json"
        with path.open("w", encoding="utf-8") as file:
            for number, record in enumerate(invented(n, seed=0)):
                file.write(",\n" if number else "[\n")
                file.write(json.dumps(record, ensure_ascii=False, indent=1))
            file.write("\n]\n")
        wall, processor = time.perf_counter(), time.process_time()
        facts = read_dataset(path).facts()
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        size = path.stat().st_size / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{n} records, {len(facts)} facts, {size:.0f} MB: {wall:.2f} s, {processor:.2f} s of processor time")
    print(f"{peak:.0f} MiB of the whole process at its peak")


if __name__ == "__main__":
    main()
