# SPDX-License-Identifier: Apache-2.0
"""What is wrong with mutants, their catalogue or the properties, one line each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from editing_tests.mutants.catalogue import Mutant
from kedit.gate.expectations import Expectation

__all__ = ["Caught", "idle", "incredible", "uncaught"]

# Mutant -> model -> property -> what caught it.
Caught = Mapping[str, Mapping[str, Mapping[str, str]]]


def uncaught(mutants: Sequence[Mutant], found: Caught) -> list[str]:
    """Mutants that survive, and properties that are named and did not catch theirs."""
    lines = []
    for mutant in mutants:
        for model in mutant.models:
            by, what = found.get(mutant.name, {}).get(model, {}), f"{mutant.name} on {model}: {mutant.wrong}"
            if not by:
                lines.append(f"{what} It survives; it must be caught by {', '.join(mutant.caught_by)}")
                continue
            for name in mutant.caught_by:
                if name not in by:
                    lines.append(f"{what} {name} does not catch it; caught by {', '.join(sorted(by))}")
                elif (by[name] == "judged") == mutant.raises:
                    lines.append(f"{what} {name} is said to have {by[name]} and not to have done the other")
    return lines


def incredible(mutants: Sequence[Mutant], known: Mapping[str, Sequence[Expectation]]) -> list[str]:
    """Mutants whose parent is known to fail what must catch them.

    Args:
        mutants: rows of the catalogue.
        known: the shipped known failures of every built-in editor.
    """
    return [
        f"{mutant.name}: {name} cannot tell it from {mutant.of}, which fails there as well ({entry.reason})"
        for mutant in mutants
        for name in mutant.caught_by
        for entry in known[mutant.of]
        if entry.property == name and entry.concerns([mutant.of], mutant.models)
    ]


def idle(
    properties: Collection[str], mutants: Sequence[Mutant], known: Mapping[str, Sequence[Expectation]]
) -> list[str]:
    """Properties that catch neither a mutant nor a published failure."""
    busy = {name for mutant in mutants for name in mutant.caught_by}
    busy |= {entry.property for entries in known.values() for entry in entries}
    return [f"{name} catches neither a mutant nor a published failure" for name in sorted(set(properties) - busy)]
