# SPDX-License-Identifier: Apache-2.0
"""What is done to a model before it is evaluated: single edits, batches, sequences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from kedit.editors.base import Editor
from kedit.experiments.experiment import ExperimentError, Row
from kedit.experiments.setting import Measure, Setting
from kedit.facts import Fact
from kedit.metrics.evaluation import Evaluation, FactEvaluation, evaluate
from kedit.models.language_model import LanguageModel
from kedit.worlds.sampling import Sampler
from kedit.worlds.world import World

__all__ = ["BATCH_SIZES", "COUNT", "MEASURES", "PROTOCOLS", "STREAM_CHECKPOINTS", "Protocol"]

COUNT = "facts"  # the metric that counts what the others are means of
BATCH_SIZES = (1, 2, 4, 8, 12)
STREAM_CHECKPOINTS = (40, 80, 120)

_SINGLES = 10  # single edits a draw, each on the unedited model
_BATCHES = 3  # small batches a draw, each on the unedited model
_TRIALS = 4  # sequences a draw whose first edit is followed
_FOLLOWED = (2, 8)  # the edits after which the first one is looked at
_ROUNDS = 3
_TABLE_SIZE = 8  # batches from here on stand in the table

Measurement = Mapping[str, Evaluation]


@dataclass(frozen=True)
class Protocol:
    """A measurement of an editor.

    Attributes:
        name: its name.
        sequential: it takes an editor with the tag `sequential`.
        figure_only: the figure shows it and the table does not need it, so it is run on the figure's model only.
        evaluations: editor, unedited model (left as it is), sampler, draw -> evaluation of each setting; one run may
            serve several.
    """

    name: str
    sequential: bool
    figure_only: bool
    evaluations: Callable[[Editor, LanguageModel, Sampler, int], Measurement]

    def measure(self, setting: Setting, parameters: Mapping[str, Any]) -> list[Row]:
        """Its evaluations as rows, an arm a setting, on facts of the world with the seed `world_seed`."""
        if setting.editor is None:
            raise ExperimentError(f"protocol {self.name!r} edits; name an editor")
        found = self.evaluations(setting.editor, setting.model, _sampler(parameters["world_seed"]), setting.repeat)
        return [Row(metric, value, arm) for arm, one in found.items() for metric, value in _values(one).items()]


def _values(found: Evaluation) -> dict[str, float]:
    return {"ES": found.es, "PS": found.ps, "NS": found.ns, "S": found.s, "EM": found.em, COUNT: found.n}


@lru_cache(maxsize=1)
def _sampler(world_seed: int) -> Sampler:
    return Sampler(World.generate(world_seed))


def _seed(draw: int, repeat: int) -> int:
    return 1000 * draw + repeat


def _single(editor: Editor, model: LanguageModel, sampler: Sampler, draw: int) -> Measurement:
    facts = sampler.distinct(_SINGLES, _seed(draw, 0))
    return {"single": _pooled(_after_batch(editor, model, [fact]) for fact in facts)}


def _batch(kind: str, size: int, batches: int) -> Protocol:
    name = f"{kind}-{size}"

    def measure(editor: Editor, model: LanguageModel, sampler: Sampler, draw: int) -> Measurement:
        pick = sampler.distinct if kind == "distinct" else sampler.same_subject
        facts = [pick(size, _seed(draw, repeat)) for repeat in range(batches)]
        return {name: _pooled(_after_batch(editor, model, batch) for batch in facts)}

    return Protocol(name, sequential=False, figure_only=size < _TABLE_SIZE, evaluations=measure)


def _first_of(editor: Editor, model: LanguageModel, sampler: Sampler, draw: int) -> Measurement:
    """Follow the first edit through a sequence on its own subject, and through one on other subjects.

    Both sequences of a trial begin with the same fact (S2RKE, section 4.3).
    """
    longest = max(_FOLLOWED)
    found: dict[str, list[Evaluation]] = {}
    for trial in range(_TRIALS):
        same = sampler.same_subject(longest, _seed(draw, trial))
        others = [fact for fact in sampler.distinct(longest, _seed(draw, trial)) if fact.subject != same[0].subject]
        for kind, facts in (("homogeneous", same), ("heterogeneous", [same[0], *others[: longest - 1]])):
            for done, edited in _sequence(editor, model, facts):
                if done in _FOLLOWED:
                    found.setdefault(f"{kind}-{done}", []).append(evaluate(edited, facts[:1]))
    return {setting: _pooled(evaluations) for setting, evaluations in found.items()}


def _stream(kind: str) -> Protocol:
    longest = STREAM_CHECKPOINTS[-1]

    def measure(editor: Editor, model: LanguageModel, sampler: Sampler, draw: int) -> Measurement:
        if kind == "sequence":
            facts = list(sampler.distinct(longest, _seed(draw, 0)))
        else:
            rounds = sampler.rounds(longest // _ROUNDS, _ROUNDS, _seed(draw, 0))
            facts = [fact for one in rounds for fact in one]
        return {
            f"{kind}-{done}": evaluate(edited, facts[:done])
            for done, edited in _sequence(editor, model, facts)
            if done in STREAM_CHECKPOINTS
        }

    return Protocol(kind, sequential=True, figure_only=True, evaluations=measure)


def _after_batch(editor: Editor, model: LanguageModel, facts: Sequence[Fact]) -> Evaluation:
    """Evaluate `facts` after editing them in one call, or one by one if the editor takes one fact a call."""
    if editor.tags.batch or len(facts) == 1:
        edited = model.copy()
        update, _ = editor.edit(edited, facts)
        update.apply(edited)
        return evaluate(edited, facts)
    *_, (_, edited) = _sequence(editor, model, facts)
    return evaluate(edited, facts)


def _sequence(editor: Editor, model: LanguageModel, facts: Sequence[Fact]) -> Iterator[tuple[int, LanguageModel]]:
    """Edit fact after fact; gives the number of edits so far and the model as it is then."""
    edited, state = model.copy(), None
    for done, fact in enumerate(facts, start=1):
        update, state = editor.edit(edited, [fact], state)
        update.apply(edited)
        yield done, edited


def _pooled(evaluations: Iterator[Evaluation] | Sequence[Evaluation]) -> Evaluation:
    facts: list[FactEvaluation] = [one for evaluation in evaluations for one in evaluation.facts]
    return Evaluation(tuple(facts))


def _all() -> tuple[Protocol, ...]:
    return (
        Protocol("single", sequential=False, figure_only=False, evaluations=_single),
        _batch("distinct", 30, 1),
        *(_batch("same", size, _BATCHES) for size in BATCH_SIZES),
        *(_batch("distinct", size, _BATCHES) for size in BATCH_SIZES),
        Protocol("first-of", sequential=True, figure_only=False, evaluations=_first_of),
        _stream("sequence"),
        _stream("returning"),
    )


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType({protocol.name: protocol for protocol in _all()})
MEASURES: Mapping[str, Measure] = MappingProxyType({name: protocol.measure for name, protocol in PROTOCOLS.items()})
