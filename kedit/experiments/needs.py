# SPDX-License-Identifier: Apache-2.0
"""What experiments ask of facts and texts of one's own, told before anything is measured."""

from __future__ import annotations

from collections.abc import Iterable

from kedit.experiments.experiment import Experiment, ExperimentError
from kedit.experiments.protocols.watching import TEXTS
from kedit.experiments.sources import Source

__all__ = ["PERPLEXITY", "PROMPTS", "check_source"]

# Protocols that score the prompts of the facts themselves; `paired-batch` makes its own, others ask the rewrite prompt.
PROMPTS = frozenset({"same-and-different", "density", "first-and-last", "long-sequence", "statistics-tokens"})
PERPLEXITY = frozenset({"density", "long-sequence", "question-types"})
PARAPHRASES = frozenset({"S", "PS", "PAR"})
NEIGHBORHOOD = frozenset({"S", "NS"})
SPECIFICITY = frozenset({"SPE"})


def check_source(source: Source, experiments: Iterable[Experiment]) -> None:
    """See that what the experiments' figures and claims need is there, for every fact that may be drawn.

    Raises:
        ExperimentError: facts without the prompts that are scored, or too few texts.
    """
    chosen = list(experiments)
    scoring = [one for one in chosen if any(series.protocol in PROMPTS for series in one.series)]
    facts = [fact for facts in source.sampler.groups.values() for fact in facts] if scoring else []
    near = [fact for fact in facts if not fact.neighborhood]
    for metrics, field, bare in (
        (PARAPHRASES, "paraphrases", [fact for fact in facts if not fact.paraphrases]),
        (NEIGHBORHOOD, "neighborhood", near),
        (SPECIFICITY, "neighborhood", [fact for fact in near if not source.specificity(fact)]),
    ):
        names = [one.name for one in scoring if metrics & _metrics(one)]
        if names and bare:
            raise ExperimentError(
                f"{source.name}: field {field!r} is empty in {len(bare)} of {len(facts)} facts, the first is "
                f"{bare[0].label}, and {', '.join(names)} scores it; give a file with facts that have such prompts"
            )
    if any(series.protocol in PERPLEXITY for one in chosen for series in one.series):
        source.texts(TEXTS, 0)


def _metrics(experiment: Experiment) -> set[str]:
    """What its figure draws and its claims compare."""
    sides = (side for claim in experiment.claims for side in (claim.left, claim.right) if side is not None)
    return {*experiment.figure.metrics, *(side.metric for side in sides)}
