# SPDX-License-Identifier: Apache-2.0
"""All mutants, and the properties that must catch each.

A property is named where it is the cheapest that must catch the mistake, and where a mistake is the reason that the
property is there. Its parent must hold it.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from editing_tests.mutants import (
    history,
    labels,
    memories,
    positions,
    process,
    purity,
    solving,
    statistics,
    updates,
    values,
)

__all__ = ["MUTANTS", "SURVIVORS", "Mutant"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mutant.

    Attributes:
        editor: the class; its docstring says what is wrong, in a sentence.
        caught_by: ids of the properties that must catch it, each of them.
        pitfalls: the numbered pitfalls of the design notes that it stands for.
        models: tiny models on which they must.
        isolated: it changes something that others see, and needs a process of its own.
        raises: it is caught by an error, not by a number.
        seconds: its process is ended after this time; only of an isolated one.
        survives: why nothing catches it; only of one that is not caught.
    """

    editor: type[Any]
    caught_by: tuple[str, ...] = ()
    pitfalls: tuple[int, ...] = ()
    models: tuple[str, ...] = ("tiny-gpt2",)
    isolated: bool = False
    raises: bool = False
    seconds: float = 120.0
    survives: str = ""

    @property
    def name(self) -> str:
        """The name of the class."""
        return self.editor.__name__

    @property
    def of(self) -> str:
        """The built-in editor that it is made of."""
        return getattr(self.editor, "of", None) or self.editor.name

    @property
    def path(self) -> str:
        """What stands behind `--editor`."""
        return f"{self.editor.__module__}:{self.editor.__qualname__}"

    @property
    def wrong(self) -> str:
        """What is wrong, as a sentence."""
        return " ".join((inspect.getdoc(self.editor) or "").split())


LLAMA = ("tiny-llama",)

MUTANTS: tuple[Mutant, ...] = (
    Mutant(positions.KeyOneEarly, ("efficacy.single",), (4,)),
    Mutant(positions.KeyOneLate, ("mechanism.same-key", "efficacy.single"), (4,)),
    Mutant(positions.KeyAtTheEnd, ("mechanism.same-key",), (6,)),
    Mutant(positions.ValueAtTheEnd, ("efficacy.single",)),
    Mutant(positions.IndexOfTheBarePrompt, ("longevity.inverse",), (61,)),
    Mutant(positions.IndexWithoutSpecials, ("efficacy.single",), (4,), LLAMA),
    Mutant(positions.FirstMention, ("mechanism.own-key",), (8,)),
    Mutant(positions.IndexWithoutWhatStandsBefore, ("mechanism.own-key",), (8,)),
    Mutant(positions.FormattedPrompt, ("contract.any-batch",), (9,)),
    Mutant(positions.PaddedByTheTokenizer, ("contract.padding-side",), (7,)),
    Mutant(positions.UnmaskedPadding, ("contract.batch-independence",), (6, 7)),
    Mutant(labels.BosInLabels, ("efficacy.single",), (1,), LLAMA),
    Mutant(labels.TargetWithoutBlank, ("efficacy.single",), (14,)),
    Mutant(labels.BlankTwice, ("efficacy.single",), (11,)),
    Mutant(labels.FirstTokenOnly, ("efficacy.distinct-batch",), (), LLAMA),
    Mutant(labels.FirstPieceDropped, ("efficacy.distinct-batch",), (2, 59), LLAMA),
    Mutant(labels.LabelsOneEarly, ("efficacy.single",), (18,)),
    Mutant(labels.PadsInLabels, ("efficacy.distinct-batch",), (19,)),
    Mutant(values.ClampMissing, ("locality.neighbors", "locality.perplexity"), (21,)),
    Mutant(values.DivergenceRewarded, ("locality.essence",), (17,)),
    Mutant(values.StopsAtOnce, ("efficacy.single",), (42,)),
    Mutant(values.ValueOfAnotherPlace, ("efficacy.single",), (24,)),
    Mutant(values.SortedAndNotBack, ("contract.batch-order", "contract.batch-independence")),
    Mutant(values.ValueOfTheFirst, ("perturbation.same-subject-batch",), (36,)),
    Mutant(values.ValuesNotMerged, ("mechanism.merged-value",), (36,)),
    Mutant(values.NoGroups, ("mechanism.merged-value",), (36,)),
    Mutant(values.OneGroup, ("mechanism.merged-value", "contract.batch-independence"), (36,)),
    Mutant(values.GroupsByString, ("mechanism.merged-value",), (36,)),
    Mutant(values.ValuesByPrompt, ("longevity.inverse",), (27,)),
    Mutant(statistics.SumInsteadOfMean, ("efficacy.single",), (70,)),
    Mutant(statistics.OtherLayersMoment, ("efficacy.distinct-batch",), (62,)),
    Mutant(statistics.IdentityMoment, ("efficacy.single",), (16,)),
    Mutant(statistics.NotProjected, ("longevity.sequence",), (65,)),
    Mutant(statistics.WrongSideOfTheSpectrum, ("locality.perplexity",), (65,)),
    Mutant(solving.BatchInParts, ("perturbation.same-subject-batch",), (33,)),
    Mutant(solving.Subtracted, ("efficacy.single",)),
    Mutant(solving.ResidualTwice, ("mechanism.history-identity",), (31,)),
    Mutant(solving.RidgeTimesKeys, ("efficacy.single",), (34,)),
    Mutant(solving.DirectionNotNormalised, ("efficacy.single",), (15,)),
    Mutant(solving.MomentNotInverted, ("efficacy.single",), (16,)),
    Mutant(solving.CholeskyInStoredPrecision, ("contract.half-precision",), raises=True),
    Mutant(solving.ViewedNotTurned, ("efficacy.single",), (23,)),
    Mutant(history.HistoryDoubled, ("mechanism.history-identity",), (31,)),
    Mutant(history.ResidualsDoubled, ("mechanism.history-identity", "mechanism.history-bound"), (31,)),
    Mutant(history.PenaltyInTheSum, ("mechanism.history-identity",), (31,)),
    Mutant(history.HistoryLost, ("mechanism.history-identity",), (33,)),
    Mutant(history.HistoryKept, ("contract.deterministic", "contract.undo-forgets"), (29,)),
    Mutant(history.BaseOfEachCall, ("mechanism.history-identity",), (31,)),
    Mutant(history.StateGrows, ("mechanism.history-identity",)),
    Mutant(history.SumsInPlace, ("contract.pure-edit",), (29,)),
    Mutant(updates.OnlyTheFirst, ("contract.batch-order",), (35,)),
    Mutant(updates.OneOfALongBatch, ("efficacy.distinct-batch",), (37,)),
    Mutant(updates.NamesTheFirst, ("contract.declared-changes",), (66,)),
    Mutant(updates.RestoredAsEdited, ("contract.exact-undo",), (32,)),
    Mutant(updates.UndoBySubtraction, ("contract.exact-undo", "contract.half-precision"), (43,)),
    Mutant(updates.OneWeightRestored, ("contract.exact-undo",), (41, 69)),
    Mutant(updates.UndeclaredWeight, ("contract.declared-changes", "contract.exact-undo"), (22,)),
    Mutant(memories.HooksInsteadOfWeights, ("contract.saved-model",), (32,)),
    Mutant(memories.StaleQuery, ("efficacy.generation",), (40,), LLAMA),
    Mutant(memories.LatestEntryOnly, ("longevity.sequence",), (39,)),
    Mutant(memories.ValueNotTrained, ("longevity.repeat",)),
    Mutant(memories.NormaliserMoves, ("contract.deterministic",), (37,)),
    Mutant(memories.RatesByOrder, ("efficacy.single",), (37,)),
    Mutant(memories.GradientAdded, ("efficacy.single",)),
    Mutant(purity.HookLeft, ("contract.pure-edit",), (41,)),
    Mutant(purity.TrainModeLeft, ("contract.pure-edit",), (41,)),
    Mutant(purity.FrozenLeft, ("contract.pure-edit",), (41,)),
    Mutant(purity.GradientsLeft, ("contract.pure-edit",), (41,)),
    Mutant(purity.AppliesWhileEditing, ("contract.pure-edit",), (69,)),
    Mutant(purity.HalfWritten, ("contract.atomic-failure",), (41,)),
    Mutant(purity.SeedsEverything, ("contract.pure-edit",), (55,)),
    Mutant(purity.PaddingSideLeft, ("contract.pure-edit",), (7,), isolated=True),
    Mutant(purity.GradientsSwitchedOff, ("contract.pure-edit",), isolated=True),
    Mutant(process.Prints, ("contract.good-manners",)),
    Mutant(process.CallsOut, ("contract.good-manners",)),
    Mutant(process.EmptiesItsList, ("contract.good-manners",)),
    Mutant(process.KeepsEverything, ("contract.good-manners",)),
    Mutant(process.NoSeed, ("contract.deterministic",)),
    Mutant(process.SwallowsFailures, ("contract.atomic-failure",)),
    Mutant(process.DropsBadFacts, ("contract.rejects-bad-facts",), (35,)),
    Mutant(process.RefusesWithoutName, ("contract.rejects-bad-facts",)),
    Mutant(process.KeepsTheFirstSession, ("contract.two-models",), (28, 30)),
    Mutant(process.DecidesByName, ("contract.folder-name",), (13, 60)),
    Mutant(process.Hangs, ("contract.pure-edit",), isolated=True, raises=True, seconds=45.0),
    Mutant(process.Raises, ("contract.pure-edit",), raises=True),
)

# Mistakes that no property tells from a right editor on the tiny models, and why.
SURVIVORS: tuple[Mutant, ...] = (
    Mutant(
        labels.AllAtThePrompt,
        pitfalls=(18,),
        models=LLAMA,
        survives="once its first token is said, the tiny models say the rest of an object by themselves",
    ),
    Mutant(labels.BallMissing, pitfalls=(21,), survives="a few steps hardly leave the ball"),
    Mutant(values.BaseForgotten, survives="what is added is many times as large as what it is added to"),
    Mutant(statistics.BlankOfContextsLost, pitfalls=(10,), survives="a few contexts weigh little in a mean key"),
    Mutant(solving.MomentInFloat16, pitfalls=(63,), survives="damping hides rounding of that size"),
    Mutant(
        history.KeysNotKept,
        pitfalls=(33,),
        survives="after 200 edits 0.76 of the facts are left, and the bound lies lower",
    ),
    Mutant(history.StaleOutputs, pitfalls=(25,), survives="two edited layers leave little to be refreshed"),
)
