# SPDX-License-Identifier: Apache-2.0
"""The bench of one worker: models and worlds loaded once, measurements shared between tests."""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from kedit.datasets.sampling import Sampler
from kedit.editors.base import Editor, Tags
from kedit.files import cache_folder
from kedit.gate.cases import Case
from kedit.gate.judging import Judge
from kedit.gate.run import GateRun
from kedit.gate.skipping import NotPossibleHere
from kedit.gate.sources import RealFacts, Source, WorldFacts
from kedit.gate.watching import Network
from kedit.models.language_model import LanguageModel
from kedit.statistics.store import collected_files, home_of
from kedit.worlds.cards import seeds_of
from kedit.worlds.world import World

if TYPE_CHECKING:
    from kedit.gate.candidates import Candidate

__all__ = ["Bench", "Gate"]

T = TypeVar("T")


class Bench:
    """Loads each model and world once and remembers shared measurements."""

    def __init__(self, run: GateRun, *, threads: int = 1) -> None:
        """Nothing is loaded yet; one thread, so that a number does not depend on the machine's load."""
        torch.set_num_threads(threads)
        # What is imported by now stays to the end; the collector need not walk it again after every few edits.
        gc.freeze()
        self.run = run
        self._models: dict[str, LanguageModel] = {}
        self._worlds: dict[int, Source] = {}
        self._real: dict[str, Source] = {}
        self._shared: dict[Hashable, Any] = {}

    def model(self, case: Case) -> LanguageModel:
        """The unedited model of a case; copy it before you edit."""
        if case.folder not in self._models:
            self._models[case.folder] = self._load(case)
        return self._models[case.folder]

    def damaged(self, case: Case) -> bool:
        """Whether the unedited model, whose twins share its weights, is not as it was loaded; it is loaded anew then.

        What writes such a weight in place, and not by an update, writes it in the unedited model too.
        """
        model = self._models.get(case.folder)
        if model is None or not model.shares:
            return False
        with suppress(Exception):  # a device that failed, say: then it is no use either
            if model.fingerprint() == model.origin:
                return False
        del self._models[case.folder]
        self._shared.clear()
        return True

    def _load(self, case: Case) -> LanguageModel:
        full = self.run.options.full
        if full is None:
            return LanguageModel.from_pretrained(case.folder)
        from kedit.gate.candidates import load

        # Tests stand model by model, and two full models may not fit; what was frozen or failed may still hold one.
        self._models.clear()
        self._shared.clear()
        gc.unfreeze()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        (one,) = (one for one in self.run.candidates if one.source == case.folder)
        model = load(one, full)
        model.shares, model.stored = True, not full.random_weights
        return model

    def unedited(self, case: Case) -> dict[str, str]:
        """Fingerprint, dtype and device of the unedited model, as the report names them."""
        model = self.model(case)
        told = self.source(case).told if self.run.options.full is not None else ""  # a world takes a second to make
        facts = {"facts": told} if told else {}
        return {"fingerprint": model.origin, "dtype": model.dtype, "device": str(model.device), **facts}

    def source(self, case: Case) -> Source:
        """Facts that the model knows: of the tiny world named in its card (of seed 0 without a card), or real ones."""
        full = self.run.options.full
        if full is not None and (case.real or full.facts is not None):
            if case.folder not in self._real:
                found = RealFacts(self.model(case), full.facts, all_of_them=full.random_weights)
                self._real[case.folder] = found
            return self._real[case.folder]
        seeds = seeds_of(Path(case.folder))
        seed = 0 if seeds is None else seeds.world
        if seed not in self._worlds:
            self._worlds[seed] = WorldFacts(World.generate(seed))
        return self._worlds[seed]

    def lacking(self, case: Case) -> str:
        """What the editor needs of a full model and is not there: second moments of its keys, or memory for its sums
        over earlier edits; empty if nothing."""
        full, tags = self.run.options.full, self.run.editors[case.editor].tags
        if full is None or not (tags.needs_statistics or tags.history):
            return ""
        from kedit.gate.candidates import too_large, with_sums

        model = self.model(case)
        measured = model.corpus or collected_files(home_of(model.origin, cache_folder()))
        if tags.needs_statistics and not measured:
            return (
                f"{case.editor} needs second moments of {case.model}'s keys; give texts with --corpus FILE, or collect "
                f"them once: kedit statistics collect {case.model} --corpus wikitext --dtype {model.dtype}"
            )
        if not tags.history:
            return ""
        # Told once: what other editors leave in memory should not end an editor halfway.
        what = f"editing {model.name} with sums over earlier edits"
        return self.remember((case.folder, what), lambda: too_large(with_sums(model), full.device, what))

    def facts_of(self, one: Candidate) -> Source:
        """The facts that a full model is edited with; loads it."""
        return self.source(Case("", one.name, one.source, one.real, one.large))

    @property
    def requires_models(self) -> bool:
        """Whether a full model that is not at hand is a failure."""
        return self.run.options.full is not None and self.run.options.full.require

    @cached_property
    def network(self) -> Network:
        """The network of this process."""
        return Network()

    def remember(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The value of `compute()`, computed once for each key."""
        if key not in self._shared:
            self._shared[key] = compute()
        value: T = self._shared[key]
        return value


class Gate:
    """What a property test is given: an editor, a model, facts, and a judge.

    Attributes:
        editor: the editor under test.
        name: the editor as on the command line.
        model_name: name of the model.
        seed: seed of every draw.
        parameters: parameters of the test.
    """

    def __init__(self, bench: Bench, case: Case, parameters: Mapping[str, Any], judge: Judge | None) -> None:
        """Bind a test to its case."""
        self._bench = bench
        self._case = case
        self._judge = judge
        self.editor: Editor = bench.run.editors[case.editor]
        self.name = case.editor
        self.model_name = case.model
        self.seed = bench.run.options.seed
        self.parameters = parameters
        if judge is not None:
            judge.node.unedited = bench.unedited(case)

    @property
    def tags(self) -> Tags:
        """What the editor says it is."""
        return self.editor.tags

    @property
    def base(self) -> LanguageModel:
        """The unedited model, shared by all tests: read it, never edit it."""
        return self._bench.model(self._case)

    @cached_property
    def model(self) -> LanguageModel:
        """An unedited copy for this test alone; change it by updates, because twins of a full model share weights."""
        return self.base.twin()

    def damaged(self) -> bool:
        """Whether the test wrote into the unedited model; it is loaded anew then."""
        return self._bench.damaged(self._case)

    def change_weights(self) -> None:
        """To be called before the editor is asked to edit a twin with other weights, whose second moments are other.

        Raises:
            NotPossibleHere: the editor needs them and there is no corpus to measure them on.
        """
        if self.tags.needs_statistics and not self.base.corpus:
            raise NotPossibleHere(
                f"the second moments of changed weights are measured anew, and {self.model_name} has no corpus; give "
                "one with --corpus FILE"
            )

    @property
    def real(self) -> bool:
        """Whether the model was trained on the real world, and not on the tiny one."""
        return self._case.real

    @property
    def knows(self) -> bool:
        """Whether the model was trained, so that a fact can be asked of it; random weights know nothing."""
        full = self._bench.run.options.full
        return full is None or not full.random_weights

    @property
    def network(self) -> Network:
        """The network, to be refused."""
        return self._bench.network

    @property
    def facts(self) -> Sampler:
        """Seeded draws of facts to edit."""
        return self._bench.source(self._case).sampler

    def texts(self, n: int, seed: int) -> list[str]:
        """Texts that have nothing to do with the facts; at most `n`."""
        return self._bench.source(self._case).texts(n, seed)

    def shared(self, key: Hashable, compute: Callable[[], T]) -> T:
        """A measurement of this editor on this model that several tests judge, made once a worker.

        `compute` must depend on nothing but the editor, the model, the seed and the key.
        """
        return self._bench.remember((self._case, key), compute)

    def baseline(self, key: Hashable, compute: Callable[[], T]) -> T:
        """A measurement of the unedited model, made once a worker whatever the editor."""
        return self._bench.remember((self._case.folder, key), compute)

    def judge(self, metric: str, measured: float, *, note: str = "", **parameters: Any) -> bool:
        """Record a number and compare it with its threshold; the test fails at its end if any was wrong.

        Raises:
            LookupError: the threshold does not exist, or the test is not an editing property.
        """
        if self._judge is None:
            raise LookupError("only a test marked editing_property can judge")
        return self._judge.judge(metric, measured, note=note, **parameters)

    def record(self, name: str, data: Mapping[str, Any]) -> None:
        """Leave plain data for the figures of the report; outside a property test there is none, and it is dropped."""
        if self._judge is not None:
            self._judge.record(name, data)
