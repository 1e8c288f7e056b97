# SPDX-License-Identifier: Apache-2.0
"""What the protocols ask of an editor, seen by one that changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from editing_tests.library.experiments.protocol_rows import rows_given
from kedit.downstream import OPEN_LLM
from kedit.editors import load_editor
from kedit.editors.base import Tags
from kedit.experiments.experiment import ExperimentError, Row
from kedit.experiments.protocols import PROTOCOLS, watching
from kedit.experiments.setting import Setting
from kedit.experiments.sources import WorldSource
from kedit.experiments.steps import score_rows
from kedit.facts import Fact
from kedit.models.language_model import LanguageModel
from kedit.paths import model_folder
from kedit.updates import LowRank, Update


class Recorder:
    """Changes nothing and remembers what it was asked; its state counts its calls."""

    name = "recorder"

    def __init__(self, *, batch: bool = True, sequential: bool = True, layer: int = 1) -> None:
        self.layer = layer
        self.tags = Tags(batch=batch, sequential=sequential, writes_weights=True)
        self.calls: list[tuple[Fact, ...]] = []
        self.states: list[Any] = []

    def edit(self, model: LanguageModel, facts: Sequence[Fact], state: Any = None) -> tuple[Update, Any]:
        self.calls.append(tuple(facts))
        self.states.append(state)
        name = model.weight_name(self.layer)
        nothing = LowRank(torch.zeros(model.d, 1), torch.zeros(model.f, 1))
        return Update(changes={name: nothing}, base=model.fingerprint([name])), (state or 0) + 1


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return LanguageModel.from_pretrained(model_folder("tiny-gpt2"))


@pytest.fixture(scope="module")
def source() -> WorldSource:
    return WorldSource()


@pytest.fixture
def measure(model: LanguageModel, source: WorldSource) -> Any:
    def run(protocol: str, editor: Any, **parameters: Any) -> list[Row]:
        before = model.fingerprint()
        rows = list(PROTOCOLS[protocol](Setting(model, editor, source, 0), parameters))
        assert model.fingerprint() == before
        return rows

    return run


def names(rows: Sequence[Row]) -> set[tuple[str, str, int]]:
    return {(row.metric, row.arm, row.place) for row in rows if not row.arm.startswith("layer")}


def scored(model: LanguageModel, facts: Sequence[Fact], arm: str, place: int) -> list[Row]:
    """What the recorder's model, which is the unedited one, says of facts."""
    return score_rows(Setting(model, None, WorldSource(), 0), model, facts, arm, place)


def value(rows: Sequence[Row], metric: str, arm: str, place: int) -> float:
    (found,) = [row.value for row in rows if (row.metric, row.arm, row.place) == (metric, arm, place)]
    return found


@pytest.mark.parametrize(("mode", "sizes"), [("sequential", [1] * 6), ("batch", [3, 3])])
def test_same_and_different(measure: Any, model: LanguageModel, mode: str, sizes: list[int]) -> None:
    editor = Recorder()
    rows = measure("same-and-different", editor, n=3, mode=mode)
    assert [len(call) for call in editor.calls] == sizes
    facts = [fact for call in editor.calls for fact in call]
    assert len({fact.subject for fact in facts[:3]}) == 1 and len({fact.subject for fact in facts[3:]}) == 3
    assert names(rows) == rows_given("same-and-different", "rome", {}, {"n": 3})
    assert rows == [*scored(model, facts[:3], "same", 3), *scored(model, facts[3:], "different", 3)]
    assert value(rows, "EM", "same", 3) == 0.0 and value(rows, "NS", "same", 3) > 0.9  # nothing was edited


def test_editors_are_not_asked_for_what_they_cannot(measure: Any) -> None:
    with pytest.raises(ExperimentError, match="edits one fact a call"):
        measure("same-and-different", Recorder(batch=False), n=3, mode="batch")
    with pytest.raises(ExperimentError, match="cannot be called again"):
        measure("same-and-different", Recorder(sequential=False), n=3, mode="sequential")
    with pytest.raises(ExperimentError, match="name an editor"):
        measure("density", None, n=6, mode="batch")


def test_density(measure: Any, model: LanguageModel) -> None:
    editor = Recorder()
    rows = measure("density", editor, n=6, mode="batch")
    counts = [sorted(Counter(fact.subject for fact in call).values()) for call in editor.calls]
    assert counts == [[1] * 6, [2] * 3, [3] * 2]
    for arm, facts in zip(("low", "medium", "high"), editor.calls, strict=True):
        found = [row for row in rows if row.arm == arm and not row.metric.startswith("PPL")]
        assert found == scored(model, facts, arm, 6)
        assert value(rows, "PPL ratio", arm, 6) == 1.0  # nothing was edited
    assert names(rows) == rows_given("density", "rome", {}, {"n": 6})


def test_the_first_and_the_last(measure: Any, model: LanguageModel) -> None:
    editor = Recorder()
    rows = measure("first-and-last", editor, n=4, mode="sequential")
    # What both arms share is edited once, and both last edits go on from it.
    assert editor.states == [None, 1, 2, 3, 3]
    first, *_, homogeneous, heterogeneous = (call[0] for call in editor.calls)
    assert first.subject == homogeneous.subject != heterogeneous.subject
    assert first.prompt != homogeneous.prompt
    assert names(rows) == rows_given("first-and-last", "rome", {}, {"n": 4})
    assert rows == [row for arm in ("homogeneous", "heterogeneous") for row in scored(model, [first], arm, 4)]
    batched = Recorder()
    assert measure("first-and-last", batched, n=4, mode="batch") == rows
    assert [len(call) for call in batched.calls] == [4, 4]


def test_paired_batch(measure: Any) -> None:
    rows = measure("paired-batch", load_editor("memit"), n=2, phrase="subject-first")
    assert names(rows) == rows_given("paired-batch", "memit", {}, {"n": 2})
    assert value(rows, "AKD", "same", 2) == 0.0 < value(rows, "AKD", "distinct", 2)
    behind = measure("paired-batch", load_editor("memit"), n=2, phrase="relation-first")
    assert 0.0 < value(behind, "AKD", "same", 2) < value(behind, "AKD", "distinct", 2)


def test_a_long_sequence(measure: Any) -> None:
    editor = Recorder()
    rows = measure("long-sequence", editor, facts="distinct", n=25, checkpoints=[10])
    assert editor.states == [None, *range(1, 25)]
    assert names(rows) == rows_given("long-sequence", "rome", {}, {"n": 25, "checkpoints": [10]})
    assert [row.place for row in rows if row.arm == "each" and row.metric == "EM"] == list(range(1, 26))
    assert value(rows, "L1 growth", "overall", 25) == 1.0
    assert value(rows, "L1", "layer 1", 10) > 0
    assert value(rows, "CHOICE", "overall", 25) == value(rows, "CHOICE", "overall", 0) >= 0.95
    assert value(rows, "PPL", "overall", 25) == value(rows, "PPL", "overall", 0)
    each = [row.value for row in rows if row.arm == "each" and row.metric == "probability"]
    assert value(rows, "probability", "early", 25) == pytest.approx(sum(each[:20]) / 20)
    assert value(rows, "probability", "late", 25) == pytest.approx(sum(each[-20:]) / 20)


def test_norms_are_of_the_weights_that_were_edited(measure: Any, model: LanguageModel) -> None:
    rows = measure("long-sequence", load_editor("memit"), facts="distinct", n=2, checkpoints=[1])
    layers = {int(row.arm.removeprefix("layer ")): row.value for row in rows if (row.metric, row.place) == ("L1", 2)}
    unedited = sum(float(model.weight(layer).abs().mean()) for layer in layers)
    assert layers and value(rows, "L1 growth", "overall", 2) == pytest.approx(sum(layers.values()) / unedited)
    growth = [value(rows, "L1 growth", "overall", place) for place in (0, 1, 2)]
    assert growth[0] == 1.0 and len(set(growth)) == 3


@pytest.mark.parametrize(("facts", "subjects"), [("returning", 2), ("cases", 3)])
def test_sequences_in_which_subjects_return(measure: Any, facts: str, subjects: int) -> None:
    editor = Recorder()
    measure("long-sequence", editor, facts=facts, n=6, checkpoints=[])
    asked = [call[0].subject for call in editor.calls]
    assert len(asked) == 6 and len(set(asked)) == subjects
    assert (asked[0] == asked[1]) is (facts == "cases")
    with pytest.raises(ExperimentError, match="are not known"):
        measure("long-sequence", editor, facts="some", n=6, checkpoints=[])


def test_a_sequence_of_batches(measure: Any) -> None:
    editor = Recorder()
    rows = measure("long-sequence", editor, facts="distinct", n=7, checkpoints=[3], batch=3)
    assert [len(call) for call in editor.calls] == [3, 3, 1]
    assert {row.place for row in rows if row.arm == "overall"} == {0, 3, 7}
    assert len([row for row in rows if row.arm == "each" and row.metric == "EM"]) == 7


def test_downstream_tasks_are_asked_before_and_after(measure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def evaluate_tasks(model: LanguageModel, tasks: Sequence[Any]) -> dict[str, dict[str, float]]:
        asked.extend(tasks)
        return {"arc_challenge": {"acc_norm,none": 0.4, "acc,none": 0.3}, "local.yaml": {"acc,none": 0.5}}

    monkeypatch.setattr(watching, "evaluate_tasks", evaluate_tasks)
    tasks = ["arc_challenge", "local.yaml"]
    rows = measure("long-sequence", Recorder(), facts="distinct", n=2, checkpoints=[1], tasks=tasks)
    assert asked == [OPEN_LLM["arc_challenge"], "local.yaml"] * 2
    for place in (0, 2):
        assert value(rows, "arc_challenge", "overall", place) == 0.4
        assert value(rows, "local.yaml acc,none", "overall", place) == 0.5
    assert not [row for row in rows if row.metric == "arc_challenge" and row.place == 1]


def test_types_of_questions(measure: Any) -> None:
    editor = Recorder()
    rows = measure("question-types", editor, n=4, checkpoints=[2])
    asked = [call[0] for call in editor.calls]
    assert [fact.subject for fact in asked[:4]] == [fact.subject for fact in asked[4:8]]
    assert {fact.target for fact in asked[4:8]} <= set("abcd") and {fact.target for fact in asked[8:]} == {"yes"}
    assert names(rows) == rows_given("question-types", "rome", {}, {"n": 4, "checkpoints": [2]})
    for arm in ("DG", "MQ", "T/F"):
        assert value(rows, "target tokens", arm, 0) >= 1.0
        assert value(rows, "target PPL", arm, 0) > 1.0


def test_weights_that_two_edits_share(measure: Any) -> None:
    rows = measure("weight-overlap", load_editor("memit"), share=0.01)
    assert names(rows) == rows_given("weight-overlap", "memit", {}, {})
    assert value(rows, "overlap", "same", 0) > value(rows, "overlap", "different", 0)
    assert value(rows, "forgetting", "same", 0) > 0.1 > value(rows, "forgetting", "different", 0)
    assert value(rows, "key cosine", "same", 0) == pytest.approx(1.0)


@pytest.mark.parametrize("protocol", ["key-pair", "weight-overlap"])
def test_keys_are_those_of_the_layer_that_was_edited(measure: Any, protocol: str) -> None:
    given = {"mode": "sequential"} if protocol == "key-pair" else {}
    editors = (load_editor("memit"), Recorder(layer=1), Recorder(layer=2))  # MEMIT's last one is block 1
    memit, same, later = (value(measure(protocol, one, **given), "key cosine", "different", 0) for one in editors)
    assert memit == same != later


def test_an_editor_without_a_layer_has_no_keys(measure: Any) -> None:
    with pytest.raises(ExperimentError, match="changes no down-projection"):
        measure("weight-overlap", load_editor("grace"))


def test_facts_that_bring_their_own_questions(model: LanguageModel, source: WorldSource) -> None:
    """zsRE's records have no neighbors but a question with an answer of its own."""
    known, other = (replace(fact, paraphrases=(), neighborhood=()) for fact in source.sampler.distinct(2, 0))
    answers = {known: ((known.prompt.text, known.true), (known.prompt.text, known.target)), other: ()}

    class Asking(WorldSource):
        def specificity(self, fact: Fact) -> Sequence[tuple[str, str]]:
            return answers[fact]

    rows = score_rows(Setting(model, None, Asking(), 0), model, [known])
    assert value(rows, "SPE", "", 0) == 0.5  # the model says what is true
    assert {row.metric for row in rows} == {"ES", "EM", "probability", "SPE"}
    both = score_rows(Setting(model, None, Asking(), 0), model, [known, other])
    assert {row.metric for row in both} == {"ES", "EM", "probability"}


def test_keys_of_a_pair(measure: Any) -> None:
    rows = measure("key-pair", load_editor("memit"), mode="batch")
    assert names(rows) == rows_given("key-pair", "memit", {}, {})
    assert value(rows, "key cosine", "same", 0) == pytest.approx(1.0)
    assert value(rows, "key cosine", "different", 0) < 0.9
    lost, kept = (value(rows, "probability of the first", arm, 0) for arm in ("same", "different"))
    assert lost < 0.5 < kept and value(rows, "ES of the first", "different", 0) == 1.0


def test_tokens_of_second_moments(measure: Any) -> None:
    sizes = {"n": 2, "corpus": [3, 100], "key_size": [20, 1000]}
    rows = measure("statistics-tokens", load_editor("memit", {"value": {"steps": 2}}), **sizes)
    assert names(rows) == rows_given("statistics-tokens", "memit", {}, sizes)
    few, more, whole = (value(rows, "C error", "of the corpus", place) for place in (3, 100, 1000))
    assert few > 2 * more > 0 == whole
    assert value(rows, "C error", "of the key size", 20) > value(rows, "C error", "of the key size", 1000) > 0
    with pytest.raises(ExperimentError, match="keeps no second moments in its state"):
        measure("statistics-tokens", Recorder(), **sizes)


def test_counts(measure: Any) -> None:
    rows = measure("counts", None)
    assert value(rows, "subjects", "All", 0) == 250
    with pytest.raises(ExperimentError, match="takes no parameters"):
        measure("counts", None, n=1)
