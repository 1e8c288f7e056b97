# SPDX-License-Identifier: Apache-2.0
"""What experiments ask of facts and texts of one's own, told before anything is measured."""

from __future__ import annotations

from collections.abc import Iterable

from kedit.experiments.experiment import Experiment, ExperimentError
from kedit.experiments.protocols.watching import TEXTS
from kedit.experiments.sources import Source

__all__ = ["PERPLEXITY", "PROMPTS", "check_source"]

# Protocols that score the prompts of the facts themselves; `paired-batch` makes its own, others ask the rewrite prompt.
PROMPTS = frozenset({"same-and-different", "density", "first-and-last", "long-sequence"})
PERPLEXITY = frozenset({"density", "long-sequence", "question-types"})


def check_source(source: Source, experiments: Iterable[Experiment]) -> None:
    """See that what the experiments score is there, for every fact that may be drawn.

    Raises:
        ExperimentError: facts without paraphrases or neighborhood prompts, or too few texts.
    """
    chosen = list(experiments)
    for protocols, check in ((PROMPTS, _check_prompts), (PERPLEXITY, _check_texts)):
        names = [one.name for one in chosen if any(series.protocol in protocols for series in one.series)]
        if names:
            check(source, names)


def _check_prompts(source: Source, names: list[str]) -> None:
    facts = [fact for facts in source.sampler.groups.values() for fact in facts]
    for field in ("paraphrases", "neighborhood"):
        bare = [fact for fact in facts if not getattr(fact, field)]
        if bare:
            raise ExperimentError(
                f"{source.name}: field {field!r} is empty in {len(bare)} of {len(facts)} facts, the first is "
                f"{bare[0].label}, and {', '.join(names)} scores it; give a file with facts that have such prompts"
            )


def _check_texts(source: Source, _names: list[str]) -> None:
    source.texts(TEXTS, 0)
